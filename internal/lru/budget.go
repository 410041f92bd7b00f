package lru

import (
	"container/list"
	"sync"
)

// Budget limits the bytes of several caches together. Whatever their kinds of keys and values, the values that were
// used least recently are dropped first.
type Budget struct {
	limit int

	mu    sync.Mutex // of the budget and of all its caches
	bytes int
	order *list.List // of droppable, last used first
}

// droppable is a value of one of the caches.
type droppable interface {
	// size returns the value's bytes.
	size() int
	// forget removes the value from its cache.
	forget()
}

// NewBudget returns a budget of so many bytes.
func NewBudget(limit int) *Budget { return &Budget{limit: limit, order: list.New()} }

// Bytes returns how many bytes the values of all caches take.
func (b *Budget) Bytes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// shrink drops values until the rest fits. One value stays, however large. The caller holds the lock.
func (b *Budget) shrink() {
	for b.bytes > b.limit && b.order.Len() > 1 {
		b.drop(b.order.Back())
	}
}

// drop removes a value. The caller holds the lock.
func (b *Budget) drop(element *list.Element) {
	dropped := b.order.Remove(element).(droppable)
	b.bytes -= dropped.size()
	dropped.forget()
}
