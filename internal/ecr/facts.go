package ecr

import (
	"container/list"
	"sync"
)

// factBytes limits the memory for facts about images: some thousand of them.
const factBytes = 32 << 20

// factCache remembers the facts that a digest fixes forever, the last used ones, up to a number of bytes. Its keys
// are repository and digest, because the same bytes in two repositories were pushed at different times.
type factCache struct {
	limit int

	mu    sync.Mutex
	bytes int
	items map[factKey]*list.Element
	order *list.List // of factItem, last used first
}

type factKey struct{ repository, digest string }

type factItem struct {
	key   factKey
	image Image
}

func newFactCache(limit int) *factCache {
	return &factCache{limit: limit, items: map[factKey]*list.Element{}, order: list.New()}
}

func (c *factCache) get(repository, digest string) (Image, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[factKey{repository, digest}]
	if !ok {
		return Image{}, false
	}
	c.order.MoveToFront(element)
	return element.Value.(factItem).image, true
}

func (c *factCache) add(repository string, image Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := factKey{repository, image.Digest}
	if element, ok := c.items[key]; ok {
		c.remove(element)
	}
	c.items[key] = c.order.PushFront(factItem{key: key, image: image})
	c.bytes += sizeOf(image)
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

func (c *factCache) forget(repository, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.items[factKey{repository, digest}]; ok {
		c.remove(element)
	}
}

func (c *factCache) remove(element *list.Element) {
	item := element.Value.(factItem)
	c.order.Remove(element)
	delete(c.items, item.key)
	c.bytes -= sizeOf(item.image)
}

func sizeOf(image Image) int {
	const overhead = 512
	return len(image.Manifest) + len(image.Config) + overhead
}
