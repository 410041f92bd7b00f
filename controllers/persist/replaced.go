package persist

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/lru"
)

// replaced knows the versions of objects that our own writes replaced last. A cache that still shows such a version is
// behind: nothing may be concluded from it, also not that a status is right already. One version for each object is
// enough, as a write succeeds only on the version that the cache showed, and a cache never goes back.
var replaced = &versions{last: lru.New[types.UID, string](versionsLimit)}

// versionsLimit is how many bytes the versions may take, and versionBytes about what one takes. A cache is behind for
// milliseconds, so the versions of the last thousands of writes suffice.
const (
	versionsLimit = 1 << 20
	versionBytes  = 128
)

type versions struct {
	mu   sync.Mutex
	last *lru.Cache[types.UID, string]
}

// add records that a write replaced a version of an object.
func (v *versions) add(uid types.UID, version string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last.Set(uid, version, versionBytes)
}

// has reports whether the version of an object is one that a write of ours replaced.
func (v *versions) has(object client.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	version, known := v.last.Peek(object.GetUID())
	return known && version == object.GetResourceVersion()
}
