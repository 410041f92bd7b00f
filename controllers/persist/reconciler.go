package persist

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// AsReconciler returns a reconciler that reads an object and passes it to the given one. While the cache does not show the
// last write of this process to the object, it does not pass it on and comes back soon: a pass on the object as it was
// before would repeat its work, including AWS calls, and fail with a conflict.
func AsReconciler[T client.Object](c client.Client, reconciler reconcile.ObjectReconciler[T]) reconcile.Reconciler {
	return reconcile.AsReconciler(c, upToDate[T]{reconciler})
}

type upToDate[T client.Object] struct {
	reconcile.ObjectReconciler[T]
}

func (u upToDate[T]) Reconcile(ctx context.Context, object T) (ctrl.Result, error) {
	if lastWritten.newerThan(object) {
		return outcome.Result(ctx, outcome.Waitingf(v1alpha1.ReasonProgressing, outcome.ConflictRetry, "the manager's cache does not show the last write yet"), 0)
	}
	return u.ObjectReconciler.Reconcile(ctx, object)
}
