package controllers

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
)

// evictionRetry is how soon an eviction is tried again that has to wait for the runner.
const evictionRetry = 5 * time.Second

// EvictionReconciler removes the images that a project's annotation names.
type EvictionReconciler struct {
	Client   client.Client
	Recorder events.EventRecorder

	targets *awsTargets
}

// Reconcile removes the images and then what named them.
func (r *EvictionReconciler) Reconcile(ctx context.Context, project *v1alpha1.ProjectImageCache) (ctrl.Result, error) {
	asked := project.Annotations[v1alpha1.AnnotationEvict]
	if asked == "" || !project.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	return outcome(ctx, r.evict(ctx, project, hashesIn(asked)), 0)
}

func (r *EvictionReconciler) evict(ctx context.Context, project *v1alpha1.ProjectImageCache, hashes []string) error {
	repository, err := repositoryOf(project)
	if err != nil {
		return err
	}
	runner, err := runnerOf(ctx, r.Client, project)
	if err != nil {
		return err
	}
	if runner == nil {
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s is not there", project.Spec.RunnerRef.Name)
	}
	target, err := r.targets.ofProject(ctx, project, runner)
	if isRefusal(err) {
		// No watch of this controller tells when that is over.
		return waitingf(v1alpha1.ReasonWaitingForRunner, evictionRetry, "%s", err.Error())
	}
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		found, err := target.images.Find(ctx, repository.Name, hash)
		if err != nil {
			return fmt.Errorf("look up image: %w", err)
		}
		if found == nil {
			continue
		}
		if err := target.images.Delete(ctx, repository.Name, found.Digest); err != nil {
			return fmt.Errorf("evict image: %w", err)
		}
		imagesRemoved.WithLabelValues(project.Namespace, removedEvicted).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "Evicted", "Evict", "the image of hash %s was removed as asked", hash)
	}
	return r.strike(ctx, project, hashes)
}

// strike takes hashes that are done out of the annotation. One that was added meanwhile makes it a conflict.
func (r *EvictionReconciler) strike(ctx context.Context, project *v1alpha1.ProjectImageCache, done []string) error {
	before := project.DeepCopy()
	left := slices.DeleteFunc(hashesIn(project.Annotations[v1alpha1.AnnotationEvict]), func(hash string) bool { return slices.Contains(done, hash) })
	project.Annotations[v1alpha1.AnnotationEvict] = strings.Join(left, ",")
	if len(left) == 0 {
		delete(project.Annotations, v1alpha1.AnnotationEvict)
	}
	err := r.Client.Patch(ctx, project, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove annotation: %w", err)
	}
	return nil
}

var hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// hashesIn are the hashes of a list with commas; anything else in it is left out.
func hashesIn(list string) []string {
	var hashes []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); hashPattern.MatchString(item) {
			hashes = append(hashes, item)
		}
	}
	return hashes
}

// SetupWithManager registers the reconciler and what wakes it.
func (r *EvictionReconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("eviction").
		For(&v1alpha1.ProjectImageCache{}, builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		WithOptions(controller.Options{RateLimiter: retryLimiter(), ReconciliationTimeout: passTimeout}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for evictions: %w", err)
	}
	return nil
}
