// Package lru holds the values that were used last, up to a number of bytes.
package lru

import "container/list"

// Cache maps keys to values and drops the least recently used ones if it holds more bytes than its limit. It always
// keeps one value, however large. A Cache is not safe for concurrent use: its owner has the lock.
type Cache[K comparable, V any] struct {
	limit int
	bytes int
	items map[K]*list.Element
	order *list.List // of *item[K, V], last used first
}

type item[K comparable, V any] struct {
	key   K
	value V
	bytes int
}

// New returns an empty cache that holds up to limit bytes.
func New[K comparable, V any](limit int) *Cache[K, V] {
	return &Cache[K, V]{limit: limit, items: map[K]*list.Element{}, order: list.New()}
}

// Get returns a key's value, and counts as its use.
func (c *Cache[K, V]) Get(key K) (value V, known bool) {
	if element, ok := c.items[key]; ok {
		c.order.MoveToFront(element)
	}
	return c.Peek(key)
}

// Peek returns a key's value, and does not count as its use.
func (c *Cache[K, V]) Peek(key K) (value V, known bool) {
	element, ok := c.items[key]
	if !ok {
		return value, false
	}
	return element.Value.(*item[K, V]).value, true
}

// Set sets a key's value and how many bytes it takes. A new key counts as used.
func (c *Cache[K, V]) Set(key K, value V, bytes int) {
	element, ok := c.items[key]
	if !ok {
		element = c.order.PushFront(&item[K, V]{key: key})
		c.items[key] = element
	}
	changed := element.Value.(*item[K, V])
	c.bytes += bytes - changed.bytes
	changed.value, changed.bytes = value, bytes
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

// Remove removes a key, if the cache has it.
func (c *Cache[K, V]) Remove(key K) {
	if element, ok := c.items[key]; ok {
		c.remove(element)
	}
}

func (c *Cache[K, V]) remove(element *list.Element) {
	removed := c.order.Remove(element).(*item[K, V])
	delete(c.items, removed.key)
	c.bytes -= removed.bytes
}

// Len returns the number of values.
func (c *Cache[K, V]) Len() int { return c.order.Len() }

// Bytes returns how many bytes the values take.
func (c *Cache[K, V]) Bytes() int { return c.bytes }
