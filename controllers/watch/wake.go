package watch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
)

// Wake lists the objects that a change of another object concerns, and returns a request for each. into is an empty
// list of their kind. A map function can't return an error and is not called again, so Wake reports a failed list as
// Lost does, and returns no requests.
func Wake(ctx context.Context, reader client.Reader, into client.ObjectList, changed client.Object, options ...client.ListOption) []reconcile.Request {
	if err := reader.List(ctx, into, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		Lost(ctx, into, changed, err)
		return nil
	}
	requests := make([]reconcile.Request, 0, meta.LenList(into))
	_ = meta.EachListItem(into, func(item runtime.Object) error { // the function returns no error
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(item.(client.Object))})
		return nil
	})
	return requests
}

// Lost logs and counts that the objects of a list are not woken although another object changed, because the list
// could not be read. changed is nil if no change is the reason to wake them.
func Lost(ctx context.Context, list client.ObjectList, changed client.Object, err error) {
	logger := log.FromContext(ctx)
	if changed != nil {
		logger = logger.WithValues("changed", client.ObjectKeyFromObject(changed).String(), "type", fmt.Sprintf("%T", changed))
	}
	kind := kindOf(list)
	logger.Error(err, "Could not list the objects to wake; they wait for another change or their next pass", "kind", kind)
	metric.LostWakeups.WithLabelValues(kind).Inc()
}

// kindOf returns the kind of a list's objects.
func kindOf(list client.ObjectList) string {
	switch list.(type) {
	case *v1alpha1.DevcontainerImageList:
		return "DevcontainerImage"
	case *v1alpha1.ProjectImageCacheList:
		return "ProjectImageCache"
	case *v1alpha1.RunnerImageCacheList:
		return "RunnerImageCache"
	}
	return "other"
}
