package relay

import (
	"context"
	"sync"

	"imagecache.dev/internal/ranges"
)

const (
	// layersAhead is how many layers are read before a client requests them.
	layersAhead = 2
	// maxTransfers limits the blobs that clients read at once. Engines read three to six. Further requests wait.
	maxTransfers = 8
)

// ahead reads the layers that follow the one that a client requests. An engine requests the lowest layer that it lacks
// first, and then lacks those above it, too: nothing is read for nothing. Memory is bounded by the streams' windows.
type ahead struct {
	ctx   context.Context
	relay *Relay

	mu      sync.Mutex
	waiting map[int]*ranges.Stream // by the place of the blob, until a client requests it
	asked   map[int]bool
	closed  bool
}

// take returns the stream of a blob that a client requests, from its first byte on, and starts those that follow it.
func (a *ahead) take(ctx context.Context, place int) *ranges.Stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[place] = true
	stream := a.waiting[place]
	delete(a.waiting, place)
	if stream == nil {
		stream = a.relay.stream(ctx, place, 0)
	} else {
		context.AfterFunc(ctx, func() { _ = stream.Close() })
	}
	for next := place + 1; next < len(a.relay.offer.blobs) && place > 0; next++ {
		if len(a.waiting) >= layersAhead || a.closed {
			break
		}
		if a.relay.places[a.relay.offer.blobs[next].served.Digest.String()] == next && !a.asked[next] && a.waiting[next] == nil {
			a.waiting[next] = a.relay.stream(a.ctx, next, 0)
		}
	}
	return stream
}

// close ends the streams that no client requested.
func (a *ahead) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for place, stream := range a.waiting {
		_ = stream.Close()
		delete(a.waiting, place)
	}
}

// stream reads the published blob from an offset on.
func (r *Relay) stream(ctx context.Context, place int, offset int64) *ranges.Stream {
	published := r.offer.blobs[place].published
	return r.source.Stream(ctx, published.Digest.String(), offset, published.Size)
}
