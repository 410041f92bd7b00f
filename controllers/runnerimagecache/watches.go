package runnerimagecache

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/watch"
)

// runnerWorkers is how many runners are reconciled at once.
const runnerWorkers = 16

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("runnerimagecache").
		For(&v1alpha1.RunnerImageCache{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, watch.DeletionStarted()))).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(r.runnersOfSameID), builder.WithPredicates(watch.RemovedOnly())).
		Watches(&v1alpha1.ProjectImageCache{}, handler.EnqueueRequestsFromMapFunc(runnerOfProject), builder.WithPredicates(comeAndGone())).
		WatchesRawSource(source.Channel(r.Keys.Changed(), handler.EnqueueRequestsFromMapFunc(r.allRunners))).
		WithOptions(outcome.Options(runnerWorkers)).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for RunnerImageCache: %w", err)
	}
	return nil
}

// runnersOfSameID returns the runners that may take the place of a runner that was removed.
func (r *Reconciler) runnersOfSameID(ctx context.Context, object client.Object) []reconcile.Request {
	id := object.(*v1alpha1.RunnerImageCache).Spec.RunnerID
	return watch.Wake(ctx, r.Client, &v1alpha1.RunnerImageCacheList{}, object, client.MatchingFields{indexes.RunnerID: id})
}

// allRunners returns every runner: their statuses hold the signing keys.
func (r *Reconciler) allRunners(ctx context.Context, _ client.Object) []reconcile.Request {
	return watch.Wake(ctx, r.Client, &v1alpha1.RunnerImageCacheList{}, nil)
}

func runnerOfProject(_ context.Context, object client.Object) []reconcile.Request {
	project := object.(*v1alpha1.ProjectImageCache)
	return []reconcile.Request{{NamespacedName: types.NamespacedName{
		Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name,
	}}}
}

// comeAndGone passes the creation and the removal of objects.
func comeAndGone() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
