package cluster

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Watcher follows one DevcontainerImage. It reconnects when the watch ends, and keeps the last state. Several
// goroutines may use it.
type Watcher struct {
	client client.WithWatch
	key    types.NamespacedName

	mu      sync.Mutex
	image   *v1alpha1.DevcontainerImage
	deleted bool

	// changed holds a value while there is a state that the reader has not seen.
	changed chan struct{}
}

// Follow starts to follow an object from the version that image has, usually its creation. It ends with ctx.
func Follow(ctx context.Context, c client.WithWatch, image *v1alpha1.DevcontainerImage) *Watcher {
	w := &Watcher{
		client:  c,
		key:     client.ObjectKeyFromObject(image),
		image:   image,
		changed: make(chan struct{}, 1),
	}
	go w.run(ctx, image.ResourceVersion)
	return w
}

// State returns the last state of the object, and whether it was deleted since. Callers must not change the object.
func (w *Watcher) State() (image *v1alpha1.DevcontainerImage, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.image, w.deleted
}

// Changed returns a channel that has a value when State may have changed since the last value was received. Of several
// receivers one gets it.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

func (w *Watcher) run(ctx context.Context, version string) {
	const longest = 5 * time.Second
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		if version == "" {
			version = w.reread(ctx)
		}
		stream, err := w.client.Watch(ctx, &v1alpha1.DevcontainerImageList{}, selectObject(w.key, version)...)
		if err == nil {
			var seen bool
			if version, seen = w.read(stream, version); seen {
				pause = 50 * time.Millisecond
			}
		} else if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			version = ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// reread reads the object if the watch can't continue from the last version, and returns its version, or "" if it
// can't be read now.
func (w *Watcher) reread(ctx context.Context) string {
	image := &v1alpha1.DevcontainerImage{}
	err := w.client.Get(ctx, w.key, image)
	switch {
	case apierrors.IsNotFound(err):
		w.mu.Lock()
		last := w.image
		w.mu.Unlock()
		w.set(last, true)
		return ""
	case err != nil:
		return ""
	}
	w.set(image, false)
	return image.ResourceVersion
}

// read receives the events of one stream until it ends. It returns the version to continue from, or "" to start
// again.
func (w *Watcher) read(stream watch.Interface, version string) (next string, seen bool) {
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return "", seen
		}
		image, ok := event.Object.(*v1alpha1.DevcontainerImage)
		if !ok {
			continue
		}
		seen = true
		version = image.ResourceVersion
		w.set(image, event.Type == watch.Deleted)
	}
	return version, seen
}

func (w *Watcher) set(image *v1alpha1.DevcontainerImage, deleted bool) {
	w.mu.Lock()
	w.image, w.deleted = image, deleted
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// selectObject selects one object for a watch, from a resource version on. An empty version means from now on.
func selectObject(key types.NamespacedName, resourceVersion string) []client.ListOption {
	return []client.ListOption{
		client.InNamespace(key.Namespace),
		client.MatchingFields{"metadata.name": key.Name},
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: resourceVersion}},
	}
}
