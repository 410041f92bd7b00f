package ecr

import (
	"sync"

	"imagecache.dev/internal/lru"
)

// factBytes limits the memory for facts about images: some thousand of them.
const factBytes = 32 << 20

// factCache remembers the facts that a digest fixes forever. Its keys are repository and digest, because the same bytes
// in two repositories were pushed at different times.
type factCache struct {
	mu     sync.Mutex
	images *lru.Cache[factKey, Image]
}

type factKey struct{ repository, digest string }

func newFactCache(limit int) *factCache {
	return &factCache{images: lru.New[factKey, Image](limit)}
}

func (c *factCache) get(repository, digest string) (Image, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.images.Get(factKey{repository, digest})
}

func (c *factCache) add(repository string, image Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images.Set(factKey{repository, image.Digest}, image, sizeOf(image))
}

func (c *factCache) forget(repository, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images.Remove(factKey{repository, digest})
}

func sizeOf(image Image) int {
	const overhead = 512
	return len(image.Manifest) + len(image.Config) + overhead
}
