package persist

import (
	"context"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// A pass that the cache makes work on a project as it was before would make its repository again, and again until the
// cache is up to date.
func TestPassOnAnObjectThatIsBehindDoesNothing(t *testing.T) {
	w := newWritten(t, v1alpha1.DevcontainerImageStatus{})
	passes := 0
	reconciler := upToDate[*v1alpha1.DevcontainerImage]{reconcilerFunc(func() { passes++ })}
	behind := w.image.DeepCopy()
	if err := Status(t.Context(), w, w.image, &w.image.Status, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter}); err != nil {
		t.Fatal(err)
	}
	if got, err := reconciler.Reconcile(t.Context(), behind); err != nil || got.RequeueAfter != outcome.ConflictRetry || passes > 0 {
		t.Errorf("%d passes, which end with %v and %v; want none, and another try in %s", passes, got, err, outcome.ConflictRetry)
	}
	if got, err := reconciler.Reconcile(t.Context(), w.image); err != nil || got != (ctrl.Result{}) || passes != 1 {
		t.Errorf("%d passes on the object as it was written, which end with %v and %v; want one", passes, got, err)
	}
}

func TestFinalizerIsAWriteThatTheCacheHasToShow(t *testing.T) {
	w := newWritten(t, v1alpha1.DevcontainerImageStatus{})
	behind := w.image.DeepCopy()
	if err := Finalizer(t.Context(), w, w.image); err != nil {
		t.Fatal(err)
	}
	if !lastWritten.newerThan(behind) {
		t.Error("the object without the finalizer is taken for the present one")
	}
}

type reconcilerFunc func()

func (f reconcilerFunc) Reconcile(context.Context, *v1alpha1.DevcontainerImage) (ctrl.Result, error) {
	f()
	return ctrl.Result{}, nil
}
