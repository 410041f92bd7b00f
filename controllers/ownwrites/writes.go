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

// cacheLag is how long after a write the cache may still show the object before the write.
const cacheLag = 10 * time.Second

// Writes remembers for a while which version of an object this process wrote last. A pass that another event starts
// during that time would see the old object, repeat its work, including AWS calls, and fail with a conflict.
type Writes struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// recent and older hold versions by UID. When recent is as old as cacheLag, it replaces older.
	recent, older map[types.UID]string
	since         time.Time
}

// New returns an empty memory.
func New(clock clock.PassiveClock) *Writes {
	return &Writes{clock: clock, recent: map[types.UID]string{}, since: clock.Now()}
}

// Note records an object as the API server returned it after a write.
func (w *Writes) Note(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.clock.Now(); now.Sub(w.since) > cacheLag {
		w.recent, w.older, w.since = map[types.UID]string{}, w.recent, now
	}
	w.recent[object.GetUID()] = object.GetResourceVersion()
}

// IsBehind reports whether an object is older than the version that this process wrote last.
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
