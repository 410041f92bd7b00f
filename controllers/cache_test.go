package controllers

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/internal/lru"
)

// transform passes an object through what CacheOptions has for its kind.
func transform(t *testing.T, object client.Object) any {
	t.Helper()
	options := (&Settings{}).CacheOptions()
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
	spec.Build.Manifest, spec.Build.Config, spec.Inputs = "", "", []v1alpha1.KeyInput{}
	want := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Name: "e-1", Annotations: map[string]string{"note": "kept"}},
		Spec:       spec, Status: status,
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("what is kept of a request (-want +got):\n%s", diff)
	}
}

// A published request explains the misses of others, and tells how long a build takes.
func TestCacheKeepsTheInputsOfPublishedRequestsOnly(t *testing.T) {
	reported, taken := []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "sha256:00"}}, []v1alpha1.KeyInput{}
	for name, test := range map[string]struct {
		status v1alpha1.DevcontainerImageStatus
		want   []v1alpha1.KeyInput
	}{
		"unanswered": {v1alpha1.DevcontainerImageStatus{}, taken},
		"a waiter":   {v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter}, taken},
		"a builder":  {v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder}, taken},
		"a builder that failed": {v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, FinishedAt: &metav1.Time{Time: time.Unix(1, 0)},
		}, taken},
		"published": {v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, FinishedAt: &metav1.Time{Time: time.Unix(1, 0)}, Image: &v1alpha1.CachedImage{},
		}, reported},
	} {
		t.Run(name, func(t *testing.T) {
			image := &v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{Inputs: slices.Clone(reported)}, Status: test.status}
			if diff := cmp.Diff(test.want, transform(t, image).(*v1alpha1.DevcontainerImage).Spec.Inputs); diff != "" {
				t.Error(diff)
			}
		})
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
	if kept, err := (&keeper{inputs: inputs.New(), texts: lru.NewTexts(0)}).stripContents(tombstone); err != nil || kept != any(tombstone) {
		t.Errorf("got %v, %v", kept, err)
	}
}

func TestCacheKeepsLeasesOfBuildersOnly(t *testing.T) {
	for kind, own := range (&Settings{}).CacheOptions().ByObject {
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

func TestCacheKeepsLittleOfARequestAtRest(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	finished := func(change func(*v1alpha1.DevcontainerImage)) *v1alpha1.DevcontainerImage {
		image := &v1alpha1.DevcontainerImage{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e-1", UID: "u", ResourceVersion: "7", Generation: 2, CreationTimestamp: at, Labels: map[string]string{"a": "b"}},
			Spec: v1alpha1.DevcontainerImageSpec{
				ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: "e-1", Trigger: v1alpha1.TriggerEnvironmentCreated,
				ConfigurationType: v1alpha1.ConfigurationCompose, Service: "web", ConfigHash: "00", TTLSecondsAfterFinished: ptr.To(int32(60)),
				Inputs: []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "sha256:00"}},
			},
			Status: v1alpha1.DevcontainerImageStatus{
				ObservedGeneration: 2, FinishedAt: &at, CacheResult: v1alpha1.CacheHit, Explanation: "found", Image: &v1alpha1.CachedImage{Digest: "sha256:00"},
				Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady}},
			},
		}
		change(image)
		return image
	}
	want := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e-1", UID: "u", ResourceVersion: "7", Generation: 2, CreationTimestamp: at},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: "e-1", Trigger: v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationCompose, Service: "web", TTLSecondsAfterFinished: ptr.To(int32(60)),
		},
		Status: v1alpha1.DevcontainerImageStatus{ObservedGeneration: 2, FinishedAt: &at, CacheResult: v1alpha1.CacheHit},
	}
	if diff := cmp.Diff(any(want), transform(t, finished(func(*v1alpha1.DevcontainerImage) {}))); diff != "" {
		t.Errorf("what is kept of a request at rest (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*v1alpha1.DevcontainerImage){
		"one that is not finished":  func(i *v1alpha1.DevcontainerImage) { i.Status.FinishedAt = nil },
		"one with a late report":    func(i *v1alpha1.DevcontainerImage) { i.Generation = 3 },
		"one that holds something":  func(i *v1alpha1.DevcontainerImage) { i.Finalizers = []string{v1alpha1.Finalizer} },
		"one that is being deleted": func(i *v1alpha1.DevcontainerImage) { i.DeletionTimestamp = &at },
		"a builder that published":  func(i *v1alpha1.DevcontainerImage) { i.Status.Role = v1alpha1.RoleBuilder },
	} {
		image := finished(change)
		whole := image.DeepCopy()
		if image.Status.Role != v1alpha1.RoleBuilder {
			whole.Spec.Inputs = []v1alpha1.KeyInput{}
		}
		if diff := cmp.Diff(any(whole), transform(t, image)); diff != "" {
			t.Errorf("%s is not kept whole (-want +got):\n%s", name, diff)
		}
	}
}
