package devcontainerimage

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/lru"
)

// rightsLimit is how many bytes the remembered upload rights may take, and rightsBytes about what those of one request
// take.
const (
	rightsLimit = 1 << 20
	rightsBytes = 256
)

// uploadRights remembers which upload rights this process granted last. A conflict may keep the status from showing
// them. The next pass then takes them from here: otherwise whoever causes conflicts would get new rights by each.
type uploadRights struct {
	mu      sync.Mutex
	granted *lru.Cache[types.UID, v1alpha1.CredentialReference]
}

func newUploadRights() *uploadRights {
	return &uploadRights{granted: lru.New[types.UID, v1alpha1.CredentialReference](rightsLimit)}
}

// add remembers the rights of a request.
func (u *uploadRights) add(image *v1alpha1.DevcontainerImage, granted *v1alpha1.CredentialReference) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.granted.Set(image.UID, *granted, rightsBytes)
}

// newest returns the rights of a request that end last: those that its status shows, or those that this process knows.
// It returns nil if there are none.
func (u *uploadRights) newest(
	image *v1alpha1.DevcontainerImage, shown *v1alpha1.CredentialReference,
) *v1alpha1.CredentialReference {
	u.mu.Lock()
	defer u.mu.Unlock()
	known, ok := u.granted.Peek(image.UID)
	if !ok || shown != nil && !shown.ExpiresAt.Before(&known.ExpiresAt) {
		return shown
	}
	return &known
}

// forget forgets the rights of a request, which have been removed.
func (u *uploadRights) forget(image *v1alpha1.DevcontainerImage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.granted.Remove(image.UID)
}
