// Package clock is the emulator's time: the machine's, moved forward by whoever tests what days do.
package clock

import (
	"sync"
	"time"
)

// Clock tells the emulator's time. The zero value runs with the machine's clock. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time // zero: runs
}

// Frozen returns a clock that stands at t and moves by Advance alone.
func Frozen(t time.Time) *Clock { return &Clock{frozen: t} }

// Ahead returns a clock that runs with the machine's and is by d ahead of it, or behind where d is negative.
func Ahead(d time.Duration) *Clock { return &Clock{offset: d} }

// Now is never before an earlier Now, as long as the machine's clock behaves.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen.Add(c.offset).UTC()
	}
	return time.Now().Add(c.offset).UTC()
}

// Advance moves the clock forward by d; a negative d does nothing, as time goes one way.
func (c *Clock) Advance(d time.Duration) {
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
