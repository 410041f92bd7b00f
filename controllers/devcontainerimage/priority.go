package devcontainerimage

import (
	"context"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
)

// Priorities of requests. Those of a higher priority have their passes first.
const (
	// ordinary is the priority of requests that an environment waits for.
	ordinary = 0
	// inCrowd is the priority of those beyond the first census.CrowdSize of a namespace.
	inCrowd = -50
	// behind is the priority of requests that no environment waits for.
	behind = -100
)

// priorityOf returns the priority of a request. Every way into the queue uses it. A starting manager thus answers new
// requests first, even if it finds them among a hundred thousand finished ones, and nothing that wakes a crowd moves
// it ahead of the requests of other namespaces.
func (r *Reconciler) priorityOf(image *v1alpha1.DevcontainerImage) int {
	switch {
	case !indexes.IsOpen(image) && !controllerutil.ContainsFinalizer(image, v1alpha1.Finalizer): // it holds no lease
		return behind
	case r.Census.InCrowd(image):
		return inCrowd
	}
	return ordinary
}

// priorityOfCached returns the priority of a request as the cache shows it.
func (r *Reconciler) priorityOfCached(request reconcile.Request) int {
	image := &v1alpha1.DevcontainerImage{}
	err := r.Client.Get(context.Background(), request.NamespacedName, image, &client.GetOptions{UnsafeDisableDeepCopy: ptr.To(true)})
	if err != nil {
		return behind // it was removed
	}
	return r.priorityOf(image)
}
