package cloudformation

import "time"

// budget allows so many calls in any minute: half of them at once, and half of them one by one.
type budget struct {
	room  float64       // how many calls fit at once
	every time.Duration // between two calls, where the room is full
	left  float64
	at    time.Time
}

func newBudget(perMinute int) budget {
	room := float64(max(perMinute, 2)) / 2
	return budget{room: room, every: time.Duration(float64(time.Minute) / room), left: room}
}

// refill adds what time has brought.
func (b *budget) refill(now time.Time) {
	if !b.at.IsZero() && now.After(b.at) {
		b.left = min(b.room, b.left+float64(now.Sub(b.at))/float64(b.every))
	}
	b.at = now
}

// take takes one call, if one is left.
func (b *budget) take(now time.Time) bool {
	b.refill(now)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// wait returns how long it takes until a call is left.
func (b *budget) wait(now time.Time) time.Duration {
	b.refill(now)
	return max(time.Duration((1-b.left)*float64(b.every)), time.Millisecond)
}
