// Package priority runs work behind what people wait for: at low CPU and IO priority.
//
// Only a privileged process can raise a priority again, and programs inherit it. So the package never lowers a whole
// process: it lowers single threads, which end with their work. What else this process starts keeps its priority.
package priority

import "context"

// lowKey marks the contexts of Low.
type lowKey struct{}

// Low returns a context whose work runs at low priority, where Do or Go runs it.
func Low(ctx context.Context) context.Context { return context.WithValue(ctx, lowKey{}, true) }

// IsLow reports whether Low made the context, or a parent of it.
func IsLow(ctx context.Context) bool { return ctx.Value(lowKey{}) != nil }

// Do runs work and waits for it. If the context is of Low, the work, and the programs that it starts, run at low
// priority. That does not hold for other goroutines that it starts. Where the system refuses, the work runs as usual.
func Do(ctx context.Context, work func()) {
	if !IsLow(ctx) {
		work()
		return
	}
	done := make(chan struct{})
	Go(ctx, func() {
		defer close(done)
		work()
	})
	<-done
}

// Go is Do in a goroutine of its own: it does not wait.
func Go(ctx context.Context, work func()) {
	go func() {
		if IsLow(ctx) {
			lowerThread()
		}
		work()
	}()
}
