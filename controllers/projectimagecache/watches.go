package projectimagecache

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/watch"
	"imagecache.dev/internal/aws"
)

// projectWorkers is how many projects are reconciled at once. They mostly wait for AWS.
const projectWorkers = 32

// SetupWithManager registers the reconciler, its watches, and the watch for drift.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.sweeps, r.counted, r.drifted = map[types.UID]time.Time{}, map[types.UID]*v1alpha1.ImageStatistics{}, map[types.UID][]drift.Finding{}
	r.again = map[types.UID]time.Time{}
	wake := make(chan event.TypedGenericEvent[*v1alpha1.ProjectImageCache])
	err := ctrl.NewControllerManagedBy(mgr).
		Named("projectimagecache").
		For(&v1alpha1.ProjectImageCache{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, watch.Abandoned(), watch.DeletionStarted()))).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(watch.ToProjectsOfRunner(r.Client)), builder.WithPredicates(watch.ConcernsProjects())).
		Watches(&v1alpha1.DevcontainerImage{}, handler.EnqueueRequestsFromMapFunc(watch.ProjectOfRequest), builder.WithPredicates(watch.BuilderEnded())).
		WatchesRawSource(source.Channel(wake, &handler.TypedEnqueueRequestForObject[*v1alpha1.ProjectImageCache]{})).
		WithOptions(outcome.Options(projectWorkers)).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for ProjectImageCache: %w", err)
	}
	if err := mgr.Add(&driftWatch{reconciler: r, wake: wake, blind: map[aws.Target]bool{}}); err != nil {
		return fmt.Errorf("set up the watch for drift: %w", err)
	}
	return nil
}
