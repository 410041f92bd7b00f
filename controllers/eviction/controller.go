// Package eviction removes the images that a project's annotation names.
package eviction

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

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/projects"
)

// evictionRetry is how long a pass waits for the runner before it retries an eviction.
const evictionRetry = 5 * time.Second

// Reconciler removes the images that a project's annotation names.
type Reconciler struct {
	Client   client.Client
	Recorder events.EventRecorder

	Targets *awstarget.Targets
}

// Reconcile removes the images that the annotation names, and then their hashes from the annotation.
func (r *Reconciler) Reconcile(ctx context.Context, project *v1alpha1.ProjectImageCache) (ctrl.Result, error) {
	asked := project.Annotations[v1alpha1.AnnotationEvict]
	if asked == "" || !project.DeletionTimestamp.IsZero() {
		return outcome.Result(ctx, nil, 0)
	}
	return outcome.Result(ctx, r.evict(ctx, project, hashesIn(asked)), 0)
}

func (r *Reconciler) evict(ctx context.Context, project *v1alpha1.ProjectImageCache, hashes []string) error {
	repository, err := projects.RepositoryOf(project)
	if err != nil {
		return err
	}
	runner, err := projects.RunnerOf(ctx, r.Client, project)
	if err != nil {
		return err
	}
	if runner == nil {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s does not exist", project.Spec.RunnerRef.Name)
	}
	target, err := r.Targets.OfProject(ctx, project, runner)
	if outcome.IsRefusal(err) {
		// No watch of this controller reports the end of this wait.
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, evictionRetry, "%s", err.Error())
	}
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		found, err := target.Images.Find(ctx, repository.Name, hash)
		if err != nil {
			return fmt.Errorf("look up image: %w", err)
		}
		if found == nil {
			continue
		}
		if err := target.Images.Remove(ctx, repository.Name, found.Digest); err != nil {
			return fmt.Errorf("evict image: %w", err)
		}
		metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedEvicted).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "Evicted", "Evict", "removed the image of hash %s, as requested", hash)
	}
	return r.strike(ctx, project, hashes)
}

// strike removes finished hashes from the annotation. It returns a conflict if another hash was added meanwhile.
func (r *Reconciler) strike(ctx context.Context, project *v1alpha1.ProjectImageCache, done []string) error {
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

// hashesIn returns the hashes of a comma-separated list and ignores everything else in it.
func hashesIn(list string) []string {
	var hashes []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); hashPattern.MatchString(item) {
			hashes = append(hashes, item)
		}
	}
	return hashes
}

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("eviction").
		For(&v1alpha1.ProjectImageCache{}, builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		WithOptions(controller.Options{RateLimiter: outcome.RetryLimiter(), ReconciliationTimeout: outcome.PassTimeout}).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for evictions: %w", err)
	}
	return nil
}
