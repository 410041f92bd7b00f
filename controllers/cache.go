package controllers

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// CacheOptions are what the manager's cache keeps: of leases and Secrets only our own (of Secrets the metadata alone), and of requests everything but
// contents that are read once, past the cache.
func CacheOptions() cache.Options {
	ours := labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&coordinationv1.Lease{}:       {Label: ours},
			&corev1.Secret{}:              {Label: ours},
			&v1alpha1.DevcontainerImage{}: {Transform: stripContents},
		},
	}
}

// stripContents drops from a request what can be hundreds of KiB: inline contents, the reported blobs, and the copy of
// the whole that kubectl apply leaves in an annotation. Patches made of such an object leave all of that alone.
func stripContents(object any) (any, error) {
	image, ok := object.(*v1alpha1.DevcontainerImage)
	if !ok {
		return object, nil
	}
	image.ManagedFields = nil
	delete(image.Annotations, corev1.LastAppliedConfigAnnotation)
	if image.Spec.Configuration != nil {
		image.Spec.Configuration = &v1alpha1.InlineConfiguration{}
	}
	if image.Spec.Build != nil {
		image.Spec.Build.Manifest, image.Spec.Build.Config = "", ""
	}
	return image, nil
}
