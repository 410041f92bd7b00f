// Package persist writes what the reconcilers decided about their objects: statuses and finalizers.
package persist

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"imagecache.dev/api/v1alpha1"
)

// Status writes the status of an object if it differs from the one that the object has. current points to the
// object's status. The patch replaces lists of conditions as a whole, and two reconcilers may write one status, so
// Status returns a conflict if the object changed since it was read, even if there is nothing to write: the newer status
// may be another one. If the object does not exist any more, Status succeeds and leaves it as it was.
func Status[S any](ctx context.Context, c client.Client, object client.Object, current *S, status S) error {
	if equality.Semantic.DeepEqual(*current, status) {
		if lastWritten.newerThan(object) {
			return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group}, object.GetName(), errBehind)
		}
		return nil
	}
	patch, before := patchOf(object), *current
	*current = status
	err := c.Status().Patch(ctx, object, patch)
	if apierrors.IsNotFound(err) {
		*current = before
		return nil
	}
	if err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	lastWritten.note(object)
	return nil
}

var errBehind = errors.New("the cache does not show the last write yet")

// Finalizer adds the controller's finalizer to an object that lacks it. It returns a conflict if the object changed
// since it was read.
func Finalizer(ctx context.Context, c client.Client, object client.Object) error {
	if controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	patch := patchOf(object)
	controllerutil.AddFinalizer(object, v1alpha1.Finalizer)
	if err := c.Patch(ctx, object, patch); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	lastWritten.note(object)
	return nil
}

// NoFinalizer removes the controller's finalizer from an object. It succeeds if the object does not exist any more,
// and returns a conflict if the object changed since it was read.
func NoFinalizer(ctx context.Context, c client.Client, object client.Object) error {
	if !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	patch := patchOf(object)
	controllerutil.RemoveFinalizer(object, v1alpha1.Finalizer)
	if err := client.IgnoreNotFound(c.Patch(ctx, object, patch)); err != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}

// patchOf returns a patch of the changes that follow, for the version of the object that was read.
func patchOf(object client.Object) client.Patch {
	before := object.DeepCopyObject().(client.Object)
	return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
}
