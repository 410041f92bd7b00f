package store

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/cluster"
)

// pageSize is how many objects one call reads, which bounds what is decoded at a time. Smaller pages are slower: etcd
// counts all keys of the kind for each.
const pageSize = 2000

// errExpired: the watch can't go on from its last version, and everything has to be read again.
var errExpired = errors.New("the watch has expired")

// follow reads a kind and watches it until ctx ends.
func follow[T any](
	ctx context.Context, c client.WithWatch, namespace string, kind *Kind[T], list client.ObjectList,
	keep func(client.Object) T,
) {
	const shortest, longest = 500 * time.Millisecond, 30 * time.Second
	pause := shortest
	for ctx.Err() == nil {
		version, err := read(ctx, c, namespace, kind, list, keep)
		for err == nil {
			pause = shortest
			version, err = watchFrom(ctx, c, namespace, version, kind, list, keep)
		}
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errExpired) && !apierrors.IsResourceExpired(err) {
			kind.failed(cluster.Describe(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// read reads all objects, page by page, and returns the version to watch from.
func read[T any](
	ctx context.Context, c client.WithWatch, namespace string, kind *Kind[T], list client.ObjectList,
	keep func(client.Object) T,
) (version string, err error) {
	seen := map[types.NamespacedName]bool{}
	next := ""
	for {
		page := list.DeepCopyObject().(client.ObjectList)
		err := c.List(ctx, page, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next))
		if err != nil {
			return "", err
		}
		err = meta.EachListItem(page, func(item runtime.Object) error {
			object := item.(client.Object)
			seen[keyOf(object)] = true
			kind.set(keyOf(object), keep(object))
			return nil
		})
		if err != nil {
			return "", err
		}
		if next = page.GetContinue(); next == "" {
			kind.loaded(seen)
			return page.GetResourceVersion(), nil
		}
	}
}

// watchFrom receives the changes of one stream until it ends, and returns the version to go on from.
func watchFrom[T any](
	ctx context.Context, c client.WithWatch, namespace, version string, kind *Kind[T], list client.ObjectList,
	keep func(client.Object) T,
) (next string, err error) {
	stream, err := c.Watch(ctx, list.DeepCopyObject().(client.ObjectList), client.InNamespace(namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}})
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return "", errExpired
	}
	if err != nil {
		return "", err
	}
	defer stream.Stop()
	began := time.Now()
	for {
		var event watch.Event
		var open bool
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case event, open = <-stream.ResultChan():
		}
		if !open {
			break
		}
		if event.Type == watch.Error {
			return "", errExpired
		}
		object, ok := event.Object.(client.Object)
		if !ok {
			continue
		}
		version = object.GetResourceVersion()
		switch event.Type {
		case watch.Added, watch.Modified:
			kind.set(keyOf(object), keep(object))
		case watch.Deleted:
			kind.remove(keyOf(object))
		}
	}
	// A stream that ends at once would be opened again at once, for ever.
	if time.Since(began) < time.Second {
		return "", errExpired
	}
	return version, nil
}
