package lru

import (
	"container/list"
	"sync"
)

// Budget limits the bytes of several caches together. Whatever their kinds of keys and values, the values that were
// used least recently are dropped first. What must not be dropped has a Share: the caches have what the shares leave,
// and a quarter of the budget at least.
type Budget struct {
	limit int

	mu     sync.Mutex // of the budget and of all its caches and shares
	bytes  int        // of the caches
	shared int        // of the shares
	order  *list.List // of droppable, last used first
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

// Bytes returns how many bytes the values of all caches and all shares take.
func (b *Budget) Bytes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes + b.shared
}

// shrink drops values until the rest fits. One value stays, however large. The caller holds the lock.
func (b *Budget) shrink() {
	limit := max(b.limit-b.shared, b.limit/4)
	for b.bytes > limit && b.order.Len() > 1 {
		b.drop(b.order.Back())
	}
}

// Share counts towards a budget without being dropped for it. It is safe for concurrent use.
type Share struct {
	budget *Budget
	// What follows is guarded by the budget's lock.
	bytes  int
	closed bool
}

// Share returns a share of the budget that takes nothing yet.
func (b *Budget) Share() *Share { return &Share{budget: b} }

// Set sets how many bytes a share takes. A closed share takes none.
func (s *Share) Set(bytes int) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.closed {
		return
	}
	s.budget.shared += bytes - s.bytes
	s.bytes = bytes
	s.budget.shrink()
}

// Close gives a share back, for good.
func (s *Share) Close() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.closed = true
	s.budget.shared -= s.bytes
	s.bytes = 0
}

// drop removes a value. The caller holds the lock.
func (b *Budget) drop(element *list.Element) {
	dropped := b.order.Remove(element).(droppable)
	b.bytes -= dropped.size()
	dropped.forget()
}
