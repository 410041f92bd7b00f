package answer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

// follow tells of each change of a namespace's requests from now on, until ctx ends. An API server that is short of time
// closes the watches of those that read too slowly; then, as every client has to, it goes on from what it saw last, or, where
// the API server no longer knows that, from a new list.
func follow(ctx context.Context, w *world.World, namespace string, see func(watch.EventType, *v1alpha1.DevcontainerImage)) error {
	list := &v1alpha1.DevcontainerImageList{}
	if err := w.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list requests: %w", err)
	}
	open := func(version string) (watch.Interface, error) {
		from := &client.ListOptions{Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: version}}
		return w.Client.Watch(ctx, &v1alpha1.DevcontainerImageList{}, from)
	}
	version := list.ResourceVersion
	events, err := open(version)
	if err != nil {
		return fmt.Errorf("watch requests: %w", err)
	}
	again := func() error {
		list := &v1alpha1.DevcontainerImageList{}
		if err := w.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("list requests: %w", err)
		}
		for n := range list.Items {
			see(watch.Modified, &list.Items[n])
		}
		version = list.ResourceVersion
		return nil
	}
	go func() {
		for err == nil {
			for event := range events.ResultChan() {
				if request, ok := event.Object.(*v1alpha1.DevcontainerImage); ok {
					version = request.ResourceVersion
					see(event.Type, request)
				} else if event.Type == watch.Error {
					err = again()
				}
			}
			if err == nil {
				events, err = open(version) // fails once ctx has ended; a lost event shows as a missing answer
			}
		}
	}()
	return nil
}
