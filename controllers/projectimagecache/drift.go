package projectimagecache

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/watch"
	"imagecache.dev/internal/aws"
)

// eventDriftNotSeen is the reason of events about something that could not be read, so that its drift stays
// undetected.
const eventDriftNotSeen = "DriftNotSeen"

// driftWatch periodically compares all repositories with their desired state and wakes the projects whose
// repositories differ. It reads pages of the account's lists and makes no call for each repository.
type driftWatch struct {
	reconciler *Reconciler
	wake       chan<- event.TypedGenericEvent[*v1alpha1.ProjectImageCache]
	// blind are the targets whose inventory could not be read the last time.
	blind map[aws.Target]bool
}

// NeedLeaderElection returns true: only the replica that reconciles runs the watch.
func (*driftWatch) NeedLeaderElection() bool { return true }

// Start runs until ctx ends.
func (w *driftWatch) Start(ctx context.Context) error {
	wait.UntilWithContext(ctx, w.compare, w.reconciler.Intervals.Drift)
	return nil
}

// compare compares the repositories of all runners once.
func (w *driftWatch) compare(ctx context.Context) {
	var runners v1alpha1.RunnerImageCacheList
	if err := w.reconciler.Client.List(ctx, &runners); err != nil {
		watch.Lost(ctx, &v1alpha1.ProjectImageCacheList{}, nil, fmt.Errorf("list runners to look for drift: %w", err))
		return
	}
	read := map[aws.Target]bool{}
	for n := range runners.Items {
		runner := &runners.Items[n]
		var projects v1alpha1.ProjectImageCacheList
		err := w.reconciler.Client.List(ctx, &projects, client.InNamespace(runner.Namespace),
			client.MatchingFields{indexes.ProjectRunner: runner.Name}, client.UnsafeDisableDeepCopy)
		if err != nil {
			watch.Lost(ctx, &projects, runner, fmt.Errorf("list projects to look for drift: %w", err))
			continue
		}
		target, refused := w.reconciler.Targets.Of(ctx, runner)
		if refused != nil || !anyToCompare(projects.Items, runner) {
			continue
		}
		address := target.Address
		if _, asked := read[address]; !asked {
			err := target.Inventory.Fresh(ctx, w.reconciler.Intervals.Drift/2)
			read[address] = err == nil
			w.announce(ctx, runner, address, err)
		}
		if read[address] {
			w.wakeDrifted(ctx, runner, target, projects.Items)
		}
	}
	maps.DeleteFunc(w.blind, func(target aws.Target, _ bool) bool { _, asked := read[target]; return !asked })
}

// announce counts a comparison, and emits an event for the first of consecutive failures.
func (w *driftWatch) announce(ctx context.Context, runner *v1alpha1.RunnerImageCache, target aws.Target, err error) {
	if err == nil {
		delete(w.blind, target)
		metric.Comparisons.WithLabelValues(target.Region, metric.OutcomeSucceeded).Inc()
		return
	}
	metric.Comparisons.WithLabelValues(target.Region, metric.OutcomeFailed).Inc()
	log.FromContext(ctx).Info("Could not read the inventory; retrying", "region", target.Region, "error", aws.Message(err))
	if w.blind[target] {
		return
	}
	w.blind[target] = true
	w.reconciler.Recorder.Eventf(runner, nil, corev1.EventTypeWarning, eventDriftNotSeen, "ReadInventory",
		"the controller can't compare repositories with their desired state: %s", aws.Message(err))
}

// anyToCompare reports whether a runner has repositories, so that accounts without any are not called.
func anyToCompare(projects []v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache) bool {
	for n := range projects {
		if projects[n].Status.Repository != nil && awstarget.ProjectRefusal(&projects[n], runner) == nil {
			return true
		}
	}
	return false
}

func (w *driftWatch) wakeDrifted(ctx context.Context, runner *v1alpha1.RunnerImageCache, target *awstarget.Target, projects []v1alpha1.ProjectImageCache) {
	for n := range projects {
		project := &projects[n]
		if project.Status.Repository == nil || !project.DeletionTimestamp.IsZero() || awstarget.ProjectRefusal(project, runner) != nil {
			continue
		}
		desired := desiredFor(project, runner, w.reconciler.ClusterUID)
		if !drifted(project, desired, target.Inventory.Get(desired.name)) {
			continue
		}
		select {
		case w.wake <- event.TypedGenericEvent[*v1alpha1.ProjectImageCache]{Object: project}:
		case <-ctx.Done():
			return
		}
	}
}
