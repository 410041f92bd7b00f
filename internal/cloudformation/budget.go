package cloudformation

import (
	"sync"
	"time"
)

// Budget allows so many calls in any minute: half of them at once, and half of them one by one. CloudFormation limits
// the calls to an account and region, whoever makes them, so all Readers there share one. It is safe for concurrent
// use.
type Budget struct {
	mu    sync.Mutex
	room  float64       // how many calls fit at once
	every time.Duration // between two calls, where the room is full
	left  float64
	at    time.Time
}

// NewBudget returns the Budget of an account and region.
func NewBudget(callsPerMinute int) *Budget {
	room := float64(max(callsPerMinute, 2)) / 2
	return &Budget{room: room, every: time.Duration(float64(time.Minute) / room), left: room}
}

// refill adds what time has brought. The caller holds the lock.
func (b *Budget) refill(now time.Time) {
	switch {
	case b.at.IsZero():
		b.at = now
	case now.After(b.at):
		b.left = min(b.room, b.left+float64(now.Sub(b.at))/float64(b.every))
		b.at = now
	}
}

// take takes one call, if one is left.
func (b *Budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// wait returns how long it takes until a call is left.
func (b *Budget) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	return max(time.Duration((1-b.left)*float64(b.every)), time.Millisecond)
}
