package persist

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/lru"
)

// lastWritten are the versions of objects that this process wrote last, for all of its reconcilers: several write the status of
// one project.
var lastWritten = newVersions(versionsLimit)

// versionsLimit is how many bytes the versions may take, and versionBytes about what one takes. A cache is behind for
// milliseconds, or for seconds if the API server is busy, so the versions of the last thousands of writes suffice.
const (
	versionsLimit = 1 << 20
	versionBytes  = 128
)

// versions are the versions of objects by their UIDs.
type versions struct {
	mu   sync.Mutex
	last *lru.Cache[types.UID, string]
}

func newVersions(limit int) *versions {
	return &versions{last: lru.New[types.UID, string](limit)}
}

// note records an object as the API server returned it after a write.
func (v *versions) note(object client.Object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last.Set(object.GetUID(), object.GetResourceVersion(), versionBytes)
}

// newerThan reports whether an object is older than the version that this process wrote last: the cache that it was read
// from does not show that write yet, and nothing may be concluded from it.
func (v *versions) newerThan(object client.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	version, known := v.last.Peek(object.GetUID())
	if !known {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), version)
	return err == nil && order < 0
}
