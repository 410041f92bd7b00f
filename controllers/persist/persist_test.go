package persist

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

// written is a cluster with one request, and how many statuses were written to it.
type written struct {
	client.Client
	image   *v1alpha1.DevcontainerImage
	patches int
}

func newWritten(t *testing.T, status v1alpha1.DevcontainerImageStatus) *written {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &written{image: &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "me", UID: types.UID(t.Name())}, Status: status}}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(w.image).WithStatusSubresource(w.image).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(
			ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption,
		) error {
			w.patches++
			return c.SubResource(name).Patch(ctx, object, patch, options...)
		}}).Build()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(w.image), w.image); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestStatusIsWrittenIfItMeansSomethingElse(t *testing.T) {
	at := func(location *time.Location) *metav1.Time {
		stamp := metav1.NewTime(fixture.Noon.In(location))
		return &stamp
	}
	for name, test := range map[string]struct {
		before, after v1alpha1.DevcontainerImageStatus
		patches       int
	}{
		"another role": {
			v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter}, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder}, 1,
		},
		"the same time in another zone": {
			v1alpha1.DevcontainerImageStatus{FinishedAt: at(time.UTC)}, v1alpha1.DevcontainerImageStatus{FinishedAt: at(time.FixedZone("UTC+9", 9*3600))}, 0,
		},
		"an empty list instead of none": {
			v1alpha1.DevcontainerImageStatus{}, v1alpha1.DevcontainerImageStatus{MissingLayers: []string{}, Conditions: []metav1.Condition{}}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWritten(t, test.before)
			if err := Status(t.Context(), w, w.image, &w.image.Status, test.after); err != nil {
				t.Fatal(err)
			}
			if w.patches != test.patches {
				t.Errorf("%d statuses were written, want %d", w.patches, test.patches)
			}
			if w.image.Status.Role != test.after.Role {
				t.Errorf("the request has the role %q", w.image.Status.Role)
			}
		})
	}
}

func TestStatusOfAnObjectThatChangedIsAConflict(t *testing.T) {
	w := newWritten(t, v1alpha1.DevcontainerImageStatus{})
	other := w.image.DeepCopy()
	if err := Status(t.Context(), w, other, &other.Status, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter}); err != nil {
		t.Fatal(err)
	}
	err := Status(t.Context(), w, w.image, &w.image.Status, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder})
	if !apierrors.IsConflict(err) {
		t.Errorf("the write ended with %v, want a conflict", err)
	}
}

// A pass that finds the status in the cache as it should be must not end there if a write of an earlier pass made it
// another one.
func TestStatusThatACacheStillShowsIsNotTakenForTheObjects(t *testing.T) {
	right := v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter}
	w := newWritten(t, right)
	cached := w.image.DeepCopy()
	if err := Status(t.Context(), w, w.image, &w.image.Status, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder}); err != nil {
		t.Fatal(err)
	}
	if err := Status(t.Context(), w, cached, &cached.Status, right); !apierrors.IsConflict(err) {
		t.Errorf("the write ended with %v, want a conflict", err)
	}
	if err := Status(t.Context(), w, w.image, &w.image.Status, right); err != nil {
		t.Fatal(err)
	}
	if err := Status(t.Context(), w, w.image, &w.image.Status, right); err != nil {
		t.Errorf("the status is right, and the write ended with %v", err)
	}
}

func TestWritesToAnObjectThatIsGoneChangeNothing(t *testing.T) {
	w := newWritten(t, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter})
	w.image.Finalizers = []string{v1alpha1.Finalizer}
	if err := w.Delete(t.Context(), w.image.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := Status(t.Context(), w, w.image, &w.image.Status, v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder}); err != nil {
		t.Error(err)
	}
	if w.image.Status.Role != v1alpha1.RoleWaiter {
		t.Errorf("the request shows the role %q, which was not written", w.image.Status.Role)
	}
	if err := NoFinalizer(t.Context(), w, w.image); err != nil {
		t.Error(err)
	}
}

func TestFinalizerIsAddedAndRemoved(t *testing.T) {
	w := newWritten(t, v1alpha1.DevcontainerImageStatus{})
	for _, step := range []struct {
		write func(context.Context, client.Client, client.Object) error
		want  int
	}{{Finalizer, 1}, {Finalizer, 1}, {NoFinalizer, 0}, {NoFinalizer, 0}} {
		if err := step.write(t.Context(), w, w.image); err != nil {
			t.Fatal(err)
		}
		read := &v1alpha1.DevcontainerImage{}
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(w.image), read); err != nil {
			t.Fatal(err)
		}
		if len(read.Finalizers) != step.want {
			t.Fatalf("the request has the finalizers %v", read.Finalizers)
		}
	}
}
