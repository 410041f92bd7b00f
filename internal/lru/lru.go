// Package lru holds the values that were used last, up to a number of bytes that one cache or several have together.
package lru

import "container/list"

// Cache maps keys to values within a Budget. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	budget *Budget
	// What follows is guarded by the budget's lock.
	bytes  int
	items  map[K]*list.Element // of *item[K, V]
	closed bool
}

type item[K comparable, V any] struct {
	cache *Cache[K, V]
	key   K
	value V
	bytes int
}

func (i *item[K, V]) size() int { return i.bytes }

func (i *item[K, V]) forget() {
	delete(i.cache.items, i.key)
	i.cache.bytes -= i.bytes
}

// New returns an empty cache with a budget of its own.
func New[K comparable, V any](limit int) *Cache[K, V] { return In[K, V](NewBudget(limit)) }

// In returns an empty cache that shares a budget with other caches.
func In[K comparable, V any](budget *Budget) *Cache[K, V] {
	return &Cache[K, V]{budget: budget, items: map[K]*list.Element{}}
}

// Get returns a key's value, and counts as its use.
func (c *Cache[K, V]) Get(key K) (value V, known bool) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	element, ok := c.items[key]
	if !ok {
		return value, false
	}
	c.budget.order.MoveToFront(element)
	return element.Value.(*item[K, V]).value, true
}

// Peek returns a key's value, and does not count as its use.
func (c *Cache[K, V]) Peek(key K) (value V, known bool) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	element, ok := c.items[key]
	if !ok {
		return value, false
	}
	return element.Value.(*item[K, V]).value, true
}

// Set sets a key's value and how many bytes it takes. A new key counts as used. A closed cache keeps nothing.
func (c *Cache[K, V]) Set(key K, value V, bytes int) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if c.closed {
		return
	}
	element, ok := c.items[key]
	if !ok {
		element = c.budget.order.PushFront(&item[K, V]{cache: c, key: key})
		c.items[key] = element
	}
	changed := element.Value.(*item[K, V])
	c.bytes += bytes - changed.bytes
	c.budget.bytes += bytes - changed.bytes
	changed.value, changed.bytes = value, bytes
	c.budget.shrink()
}

// Remove removes a key, if the cache has it.
func (c *Cache[K, V]) Remove(key K) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if element, ok := c.items[key]; ok {
		c.budget.drop(element)
	}
}

// Close drops all values. Whoever still has the cache may go on using it, and it keeps nothing any more.
func (c *Cache[K, V]) Close() {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.closed = true
	for _, element := range c.items {
		c.budget.drop(element)
	}
}

// Len returns the number of values.
func (c *Cache[K, V]) Len() int {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return len(c.items)
}

// Bytes returns how many bytes the values take.
func (c *Cache[K, V]) Bytes() int {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.bytes
}
