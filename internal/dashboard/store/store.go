// Package store watches the three kinds once, for all viewers of the dashboard, and keeps what its pages list.
//
// It reads in pages and keeps of each request a record of about 1 KB. Objects of the other kinds are kept without
// managed fields. What is handed out is shared: callers must not change it.
package store

import (
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/dashboard/record"
)

// Store holds the objects of one namespace, or of all.
type Store struct {
	Runners  *Kind[*v1alpha1.RunnerImageCache]
	Projects *Kind[*v1alpha1.ProjectImageCache]
	Requests *Kind[*record.Request]

	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

// New returns an empty Store; Run fills it.
func New() *Store {
	s := &Store{watchers: map[chan struct{}]bool{}}
	s.Runners = newKind[*v1alpha1.RunnerImageCache](s.announce, func(a, b *v1alpha1.RunnerImageCache) int {
		return compareNames(a, b)
	})
	s.Projects = newKind[*v1alpha1.ProjectImageCache](s.announce, func(a, b *v1alpha1.ProjectImageCache) int {
		return compareNames(a, b)
	})
	// The newest first, as every list shows them.
	s.Requests = newKind[*record.Request](s.announce, func(a, b *record.Request) int {
		if order := b.Created.Compare(a.Created); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	return s
}

// Run watches until ctx ends. An empty namespace means all namespaces. Where the cluster does not answer, or the user
// may not read a kind, it tries again, and the kind's State tells why.
func (s *Store) Run(ctx context.Context, c client.WithWatch, namespace string) {
	var group sync.WaitGroup
	group.Go(func() {
		follow(ctx, c, namespace, s.Runners, &v1alpha1.RunnerImageCacheList{},
			func(o client.Object) *v1alpha1.RunnerImageCache { return strip(o.(*v1alpha1.RunnerImageCache)) })
	})
	group.Go(func() {
		follow(ctx, c, namespace, s.Projects, &v1alpha1.ProjectImageCacheList{},
			func(o client.Object) *v1alpha1.ProjectImageCache { return strip(o.(*v1alpha1.ProjectImageCache)) })
	})
	group.Go(func() {
		follow(ctx, c, namespace, s.Requests, &v1alpha1.DevcontainerImageList{},
			func(o client.Object) *record.Request { return record.Of(o.(*v1alpha1.DevcontainerImage)) })
	})
	group.Wait()
}

// Subscribe returns a channel that has a value when something has changed since the last one was received. Callers
// must call cancel.
func (s *Store) Subscribe() (changed <-chan struct{}, cancel func()) {
	channel := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[channel] = true
	return channel, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, channel)
	}
}

func (s *Store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for channel := range s.watchers {
		select {
		case channel <- struct{}{}:
		default:
		}
	}
}

// Namespaces returns the namespaces that have projects or runners, in order.
func (s *Store) Namespaces() []string {
	found := map[string]bool{}
	for _, runner := range s.Runners.List() {
		found[runner.Namespace] = true
	}
	for _, project := range s.Projects.List() {
		found[project.Namespace] = true
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func compareNames(a, b client.Object) int {
	if order := strings.Compare(a.GetNamespace(), b.GetNamespace()); order != 0 {
		return order
	}
	return strings.Compare(a.GetName(), b.GetName())
}

// strip removes from an object what no page shows and may be large.
func strip[T client.Object](object T) T {
	object.SetManagedFields(nil)
	annotations := object.GetAnnotations()
	delete(annotations, lastApplied)
	object.SetAnnotations(annotations)
	return object
}

// lastApplied is kubectl's copy of the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func keyOf(object client.Object) types.NamespacedName { return client.ObjectKeyFromObject(object) }
