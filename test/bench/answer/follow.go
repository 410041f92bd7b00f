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
// closes the watches of those that read too slowly; then, as every client has to, it goes on from what it saw last.
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
	go func() {
		for err == nil {
			for event := range events.ResultChan() {
				if request, ok := event.Object.(*v1alpha1.DevcontainerImage); ok {
					version = request.ResourceVersion
					see(event.Type, request)
				}
			}
			events, err = open(version) // fails once ctx has ended; a lost event shows as a missing answer
		}
	}()
	return nil
}
