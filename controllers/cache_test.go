package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// transform passes an object through what CacheOptions has for its kind.
func transform(t *testing.T, object client.Object) any {
	t.Helper()
	options := CacheOptions()
	use := options.DefaultTransform
	for kind, own := range options.ByObject {
		if sameKind(kind, object) && own.Transform != nil {
			use = own.Transform
		}
	}
	kept, err := use(object)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func sameKind(a, b client.Object) bool {
	switch a.(type) {
	case *v1alpha1.DevcontainerImage:
		_, same := b.(*v1alpha1.DevcontainerImage)
		return same
	case *coordinationv1.Lease:
		_, same := b.(*coordinationv1.Lease)
		return same
	}
	return false
}

func TestCacheKeepsOfARequestWhatIsReadOften(t *testing.T) {
	managed := []metav1.ManagedFieldsEntry{{Manager: "imagecache-runner"}}
	spec := v1alpha1.DevcontainerImageSpec{
		EnvironmentID: "e-1",
		Configuration: &v1alpha1.InlineConfiguration{DevcontainerJSON: "{}", Dockerfile: "FROM scratch"},
		Inputs:        []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "sha256:00"}},
		Build: &v1alpha1.BuildReport{
			Outcome: v1alpha1.BuildSucceeded, Manifest: "{}", Config: "{}", DurationSeconds: ptr.To(int64(60)), Message: "done",
		},
	}
	status := v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, MissingLayers: []string{"sha256:00"}}
	got := transform(t, &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{
			Name: "e-1", ManagedFields: managed,
			Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "all of it again", "note": "kept"},
		},
		Spec: *spec.DeepCopy(), Status: status,
	})

	spec.Configuration = &v1alpha1.InlineConfiguration{}
	spec.Build.Manifest, spec.Build.Config = "", ""
	want := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Name: "e-1", Annotations: map[string]string{"note": "kept"}},
		Spec:       spec, Status: status,
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("what is kept of a request (-want +got):\n%s", diff)
	}
}

func TestCacheKeepsARequestWithoutContents(t *testing.T) {
	image := &v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{ConfigHash: "00"}}
	if diff := cmp.Diff(any(image.DeepCopy()), transform(t, image)); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
}

func TestCacheKeepsNoManagedFields(t *testing.T) {
	for _, object := range []client.Object{
		&v1alpha1.RunnerImageCache{}, &v1alpha1.ProjectImageCache{}, &v1alpha1.DevcontainerImage{}, &coordinationv1.Lease{},
	} {
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
		if kept := transform(t, object).(client.Object); kept.GetManagedFields() != nil {
			t.Errorf("%T keeps its managed fields", object)
		}
	}
}

// TestCacheTransformTakesTombstones: informers pass what they missed the deletion of in a wrapper.
func TestCacheTransformTakesTombstones(t *testing.T) {
	tombstone := toolscache.DeletedFinalStateUnknown{Key: "namespace/e-1"}
	if kept, err := stripContents(tombstone); err != nil || kept != any(tombstone) {
		t.Errorf("got %v, %v", kept, err)
	}
}

func TestCacheKeepsLeasesOfBuildersOnly(t *testing.T) {
	for kind, own := range CacheOptions().ByObject {
		if _, lease := kind.(*coordinationv1.Lease); !lease {
			continue
		}
		if !own.Label.Matches(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}) || own.Label.Matches(labels.Set{"app": "other"}) {
			t.Errorf("leases are selected by %s", own.Label)
		}
		return
	}
	t.Error("all leases of the cluster are kept")
}
