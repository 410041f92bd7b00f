package controllers

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/internal/lru"
)

// CacheOptions returns what the manager's cache keeps: only our own leases, the metadata of our own Secrets, and
// requests without the contents that are read once, past the cache. Call it before Setup, with the same settings: the
// reconcilers then know the inputs that the cache does not keep.
func (s *Settings) CacheOptions() cache.Options {
	s.inputs = inputs.New()
	keep := &keeper{inputs: s.inputs, texts: lru.NewTexts(textBytes)}
	ours := labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&coordinationv1.Lease{}:       {Label: ours},
			&corev1.Secret{}:              {Label: ours},
			&v1alpha1.DevcontainerImage{}: {Transform: keep.stripContents},
		},
	}
}

// textBytes is how many bytes the texts take that many requests share: names of projects, namespaces, digests of inputs.
const textBytes = 4 << 20

// keeper decides what the manager's cache keeps of requests.
type keeper struct {
	inputs *inputs.Memory
	texts  *lru.Texts
}

// stripContents removes from a request what can be hundreds of KiB: inline contents, the reported blobs, and the copy
// of the whole object that kubectl apply leaves in an annotation. It also moves the inputs of requests that published
// nothing into a memory of bounded size. A patch computed from the stripped object does not touch these.
func (k *keeper) stripContents(object any) (any, error) {
	image, ok := object.(*v1alpha1.DevcontainerImage)
	if !ok {
		return object, nil
	}
	if indexes.IsAtRest(image) && image.Status.Role != v1alpha1.RoleBuilder {
		return k.remainder(image), nil
	}
	image.ManagedFields = nil
	delete(image.Annotations, corev1.LastAppliedConfigAnnotation)
	if image.Spec.Configuration != nil {
		image.Spec.Configuration = &v1alpha1.InlineConfiguration{}
	}
	if image.Spec.Build != nil {
		image.Spec.Build.Manifest, image.Spec.Build.Config = "", ""
	}
	if !indexes.HasPublished(image) {
		k.inputs.Take(image)
	}
	for n, input := range image.Spec.Inputs { // most are equal to those of the project's other images
		image.Spec.Inputs[n] = v1alpha1.KeyInput{Name: lru.Shared(k.texts, input.Name), Digest: lru.Shared(k.texts, input.Digest)}
	}
	return image, nil
}

// remainder returns the part that the cache keeps of a request that is at rest and published nothing: its creation,
// its environment, its service and its time of removal. The cluster may hold a hundred thousand of them. No patch is ever
// computed from one: a late report or a deletion makes the cache keep the request whole again.
func (k *keeper) remainder(image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: lru.Shared(k.texts, image.Namespace), Name: image.Name, UID: image.UID,
			ResourceVersion: image.ResourceVersion, Generation: image.Generation, CreationTimestamp: image.CreationTimestamp,
		},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef:    k.projectReference(image.Spec.ProjectRef),
			EnvironmentID: image.Spec.EnvironmentID, TTLSecondsAfterFinished: image.Spec.TTLSecondsAfterFinished,
			Service:           lru.Shared(k.texts, image.Spec.Service),
			Trigger:           lru.Shared(k.texts, image.Spec.Trigger),
			ConfigurationType: lru.Shared(k.texts, image.Spec.ConfigurationType),
		},
		Status: v1alpha1.DevcontainerImageStatus{
			ObservedGeneration: image.Status.ObservedGeneration, FinishedAt: image.Status.FinishedAt,
			CacheResult: lru.Shared(k.texts, image.Status.CacheResult), Role: lru.Shared(k.texts, image.Status.Role),
		},
	}
}

// projectReference returns a reference whose name is stored once for all requests of a project.
func (k *keeper) projectReference(reference *v1alpha1.ProjectReference) *v1alpha1.ProjectReference {
	if reference == nil {
		return nil
	}
	return &v1alpha1.ProjectReference{Name: lru.Shared(k.texts, reference.Name)}
}
