// Package ownwrites remembers what this process wrote and its cache does not show yet.
package ownwrites

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cacheLag is how long after a write the cache may still show an object as it was before.
const cacheLag = 10 * time.Second

// Writes remembers for a while which version of an object this process wrote last. A pass that another event triggers right
// then would see the older object, repeat its work, AWS calls included, and fail with a conflict. It is safe for concurrent use.
type Writes struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// recent and older hold versions by UID; when recent is as old as cacheLag, it becomes older and older is dropped.
	recent, older map[types.UID]string
	since         time.Time
}

// New returns an empty memory.
func New(clock clock.PassiveClock) *Writes {
	return &Writes{clock: clock, recent: map[types.UID]string{}, since: clock.Now()}
}

// Note remembers an object as the API server returned it from a write.
func (w *Writes) Note(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.clock.Now(); now.Sub(w.since) > cacheLag {
		w.recent, w.older, w.since = map[types.UID]string{}, w.recent, now
	}
	w.recent[object.GetUID()] = object.GetResourceVersion()
}

// IsBehind reports whether an object is older than what this process last wrote of it.
func (w *Writes) IsBehind(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	written, known := w.recent[object.GetUID()]
	if !known {
		written, known = w.older[object.GetUID()]
	}
	if !known {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), written)
	return err == nil && order < 0
}
