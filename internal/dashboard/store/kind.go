package store

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// resortAfter is how old a sorted list may be while objects change all the time. To sort a hundred thousand takes some
// 50 ms.
const resortAfter = time.Second

// Kind holds the objects of one kind. Several goroutines may use it.
type Kind[T any] struct {
	announce func()
	compare  func(a, b T) int

	mu      sync.Mutex
	objects map[types.NamespacedName]T
	version uint64
	state   State

	sorted   []T
	sortedOf uint64
	sortedAt time.Time
}

// State is how far the reading of a kind is.
type State struct {
	// Loaded: the whole kind was read at least once. Count is how many objects are known.
	Loaded bool
	Count  int
	// Problem is why the kind can't be read now, nil if it can. What was read before is still served.
	Problem error
}

func newKind[T any](announce func(), compare func(a, b T) int) *Kind[T] {
	return &Kind[T]{announce: announce, compare: compare, objects: map[types.NamespacedName]T{}}
}

// Get returns an object.
func (k *Kind[T]) Get(namespace, name string) (object T, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	object, found = k.objects[types.NamespacedName{Namespace: namespace, Name: name}]
	return object, found
}

// List returns all objects in order. It may be up to a second old.
func (k *Kind[T]) List() []T {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isRecent() {
		return k.sorted
	}
	sorted := make([]T, 0, len(k.objects))
	for _, object := range k.objects {
		sorted = append(sorted, object)
	}
	slices.SortFunc(sorted, k.compare)
	k.sorted, k.sortedOf, k.sortedAt = sorted, k.version, time.Now()
	return sorted
}

// isRecent reports whether the sorted list may still be used. k.mu is held.
func (k *Kind[T]) isRecent() bool {
	return k.sorted != nil && (k.sortedOf == k.version || len(k.sorted) > 1000 && time.Since(k.sortedAt) < resortAfter)
}

// Listed returns the version that List has at least.
func (k *Kind[T]) Listed() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isRecent() {
		return k.sortedOf
	}
	return k.version
}

// Version grows with each change.
func (k *Kind[T]) Version() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.version
}

// State returns how far the reading is.
func (k *Kind[T]) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := k.state
	state.Count = len(k.objects)
	return state
}

func (k *Kind[T]) set(key types.NamespacedName, object T) {
	k.change(func() { k.objects[key] = object })
}

func (k *Kind[T]) remove(key types.NamespacedName) {
	k.change(func() { delete(k.objects, key) })
}

// loaded ends a complete reading: what was not seen is gone.
func (k *Kind[T]) loaded(seen map[types.NamespacedName]bool) {
	k.change(func() {
		for key := range k.objects {
			if !seen[key] {
				delete(k.objects, key)
			}
		}
		k.state = State{Loaded: true}
	})
}

func (k *Kind[T]) failed(problem error) {
	k.change(func() { k.state.Problem = problem })
}

func (k *Kind[T]) change(what func()) {
	k.mu.Lock()
	what()
	k.version++
	k.mu.Unlock()
	k.announce()
}
