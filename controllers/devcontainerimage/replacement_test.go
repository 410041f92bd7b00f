package devcontainerimage

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

func TestWhenABuilderPuts(t *testing.T) {
	request := func(name string, edit func(*v1alpha1.DevcontainerImage)) *v1alpha1.DevcontainerImage {
		image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		edit(image)
		return image
	}
	replacing := func(edit func(*v1alpha1.DevcontainerImage)) *v1alpha1.DevcontainerImage {
		return request("builder", func(i *v1alpha1.DevcontainerImage) {
			i.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded}
			i.Status.ReplacesDigest = "sha256:old"
			edit(i)
		})
	}
	asked := func(i *v1alpha1.DevcontainerImage) {
		i.Status.Upload, i.Status.ObservedUploadAttempt = &v1alpha1.UploadStatus{Grants: 1}, ptr.To[int32](0)
	}
	builder := replacing(func(*v1alpha1.DevcontainerImage) {})
	lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To(holderOf(builder))}}
	for name, test := range map[string]struct {
		holder *v1alpha1.DevcontainerImage
		want   bool
	}{
		"its layers are checked": {builder, true},
		"its upload is reported": {replacing(func(i *v1alpha1.DevcontainerImage) {
			asked(i)
			i.Spec.UploadAttempt = ptr.To[int32](1)
		}), true},
		"it uploads":          {replacing(asked), false},
		"it builds":           {replacing(func(i *v1alpha1.DevcontainerImage) { i.Spec.Build = nil }), false},
		"its build failed":    {replacing(func(i *v1alpha1.DevcontainerImage) { i.Spec.Build.Outcome = v1alpha1.BuildFailed }), false},
		"it replaces nothing": {replacing(func(i *v1alpha1.DevcontainerImage) { i.Status.ReplacesDigest = "" }), false},
		"it has published": {replacing(func(i *v1alpha1.DevcontainerImage) {
			i.Status.FinishedAt, i.Status.Image = ptr.To(metav1.Now()), &v1alpha1.CachedImage{}
		}), true},
		"it has ended without an image": {replacing(func(i *v1alpha1.DevcontainerImage) { i.Status.FinishedAt = ptr.To(metav1.Now()) }), false},
		"its request is another": {request("builder", func(i *v1alpha1.DevcontainerImage) {
			i.UID, i.Status.FinishedAt, i.Status.Image = "later", ptr.To(metav1.Now()), &v1alpha1.CachedImage{}
		}), false},
		"its request is gone": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := putsNow(test.holder, lease); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
