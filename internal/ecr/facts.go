package ecr

import "imagecache.dev/internal/lru"

// factCache remembers the facts that a digest fixes forever. Its keys are repository and digest, because the same bytes
// in two repositories were pushed at different times.
type factCache struct{ images *lru.Cache[factKey, Image] }

type factKey struct{ repository, digest string }

func newFactCache(budget *lru.Budget) *factCache { return &factCache{lru.In[factKey, Image](budget)} }

func (c *factCache) get(repository, digest string) (Image, bool) {
	return c.images.Get(factKey{repository, digest})
}

func (c *factCache) add(repository string, image Image) {
	c.images.Set(factKey{repository, image.Digest}, image, sizeOf(image))
}

func (c *factCache) forget(repository, digest string) { c.images.Remove(factKey{repository, digest}) }

func sizeOf(image Image) int {
	const overhead = 512
	return cap(image.Manifest) + cap(image.Config) + overhead
}
