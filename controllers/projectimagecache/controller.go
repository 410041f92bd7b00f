// Package projectimagecache keeps each project's ECR repository in the state that its object and its runner ask for.
package projectimagecache

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/controllers/schedule"
)

// Reconciler keeps each project's ECR repository in the state that its object and its runner ask for.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache.
	Live     client.Reader
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// AWSClock is AWS' clock, by which images expire.
	AWSClock   clock.PassiveClock
	ClusterUID string

	Intervals schedule.Intervals
	// PricePerGBMonth is ECR's storage price in US dollars, for the estimated cost.
	PricePerGBMonth float64

	Targets *awstarget.Targets

	mu      sync.Mutex
	sweeps  map[types.UID]time.Time // when each project's policies are read next
	counted map[types.UID]*v1alpha1.ImageStatistics
	drifted map[types.UID][]drift.Finding // differences that could not be corrected yet
	again   map[types.UID]time.Time       // when images are counted again because unused ones may be left
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches/status,verbs=patch
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches/finalizers,verbs=update
// +kubebuilder:rbac:groups=imagecache.dev,resources=runnerimagecaches;devcontainerimages,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile brings one project's repository to its desired state and reports the result in the status.
func (r *Reconciler) Reconcile(ctx context.Context, project *v1alpha1.ProjectImageCache) (ctrl.Result, error) {
	if !project.DeletionTimestamp.IsZero() {
		return outcome.Settled(ctx, r.finalize(ctx, project), r.Intervals.Drift)
	}
	if err := persist.Finalizer(ctx, r.Client, project); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	runner, err := r.runnerOf(ctx, project)
	if err != nil {
		return outcome.Result(ctx, err, 0)
	}
	if runner != nil && !awstarget.Observed(runner) && project.Status.Repository != nil {
		// The runner's watch wakes the project soon. Until then the project keeps its readiness.
		return outcome.Result(ctx, nil, 0)
	}
	facts := &projectFacts{now: r.Clock.Now()}
	next := r.work(ctx, project, runner, facts)
	r.announceDone(project, facts)
	before := project.Status.DeepCopy()
	if err := persist.Status(ctx, r.Client, project, &project.Status, projectStatus(project, facts)); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	r.noteSweep(project, facts)
	r.announce(project, before, facts)
	return outcome.Settled(ctx, facts.err(), next)
}

// work calls AWS and returns when to look again although nothing in the cluster changed.
func (r *Reconciler) work(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, facts *projectFacts) time.Duration {
	if runner == nil {
		facts.refused = outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s does not exist; apply a RunnerImageCache of that name", project.Spec.RunnerRef.Name)
		return 0
	}
	facts.disabled = runner.Spec.Cache == v1alpha1.CacheDisabled
	target, refused := r.Targets.OfProject(ctx, project, runner)
	if facts.refused = refused; refused != nil {
		return 0
	}
	facts.desired = desiredFor(project, runner, r.ClusterUID)
	due := r.sweepDue(project)
	facts.sweep = !facts.now.Before(due)
	r.converge(ctx, project, target, facts)
	due = r.nextSweep(project, due, facts)
	if outcome.IsTerminal(facts.repositoryErr) {
		return schedule.Jittered(r.Intervals.Drift, project.UID)
	}
	return schedule.Soonest(max(due.Sub(facts.now), time.Second), r.count(ctx, project, target, facts))
}

// runnerOf returns the project's runner, or nil if it does not exist.
func (r *Reconciler) runnerOf(ctx context.Context, project *v1alpha1.ProjectImageCache) (*v1alpha1.RunnerImageCache, error) {
	return projects.RunnerOf(ctx, r.Client, project)
}
