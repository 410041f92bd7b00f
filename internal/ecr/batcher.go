package ecr

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// window is how long a lookup waits at most while one batch of its repository is running. While two are running it
// waits four windows, while three are running nine. A single lookup starts at once. Lookups that arrive meanwhile
// start together when the others end, or when that time has passed. So the more lookups AWS is slow to answer, the
// fewer new ones are sent: of a crowd, eight in a second.
const window = 5 * time.Millisecond

// lookupTimeout limits a batch with all its calls.
const lookupTimeout = 20 * time.Second

// answer is the result of one tag's lookup.
type answer struct {
	image *Image
	err   error
}

// batcher combines lookups of one repository that arrive at about the same time. A batch runs under no caller's
// context: it ends early only when all its callers have left.
type batcher struct {
	run func(ctx context.Context, repository string, tags []string) (map[string]answer, error)

	mu      sync.Mutex
	pending map[string]*batch // by repository
	running map[string]int    // running batches, by repository
}

type batch struct {
	repository string
	tags       []string
	known      map[string]bool
	waiting    int
	timer      *time.Timer
	ctx        context.Context
	cancel     context.CancelFunc
	done       chan struct{}
	answers    map[string]answer
	err        error
}

func newBatcher(run func(context.Context, string, []string) (map[string]answer, error)) *batcher {
	return &batcher{run: run, pending: map[string]*batch{}, running: map[string]int{}}
}

func (b *batcher) find(ctx context.Context, repository, tag string) (*Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look up an image: %w", err)
	}
	joined := b.join(repository, tag)
	select {
	case <-joined.done:
	case <-ctx.Done():
		b.leave(joined)
		return nil, fmt.Errorf("look up an image: %w", ctx.Err())
	}
	if joined.err != nil {
		return nil, joined.err
	}
	found := joined.answers[tag]
	if found.image == nil {
		return nil, found.err
	}
	own := *found.image
	return &own, found.err
}

// join puts the tag into the repository's next batch, and starts the batch when it is full.
func (b *batcher) join(repository, tag string) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.pending[repository]
	if current == nil {
		current = &batch{repository: repository, known: map[string]bool{}, done: make(chan struct{})}
		current.ctx, current.cancel = context.WithTimeout(context.Background(), lookupTimeout)
		running := b.running[repository]
		pause := time.Duration(running*running) * window
		current.timer = time.AfterFunc(pause, func() { b.start(current) })
		b.pending[repository] = current
	}
	current.waiting++
	if !current.known[tag] {
		current.known[tag] = true
		current.tags = append(current.tags, tag)
	}
	if len(current.tags) == maxImageIDs {
		b.startNow(current)
	}
	return current
}

// startNow starts a batch that still waits for its turn. The caller holds the lock.
func (b *batcher) startNow(waiting *batch) {
	if b.pending[waiting.repository] == waiting {
		delete(b.pending, waiting.repository)
	}
	if waiting.timer.Stop() {
		go b.start(waiting)
	}
}

func (b *batcher) start(current *batch) {
	b.mu.Lock()
	if b.pending[current.repository] == current {
		delete(b.pending, current.repository)
	}
	b.running[current.repository]++
	b.mu.Unlock()
	defer b.end(current)
	defer current.cancel()
	defer close(current.done)
	if current.ctx.Err() != nil {
		current.err = fmt.Errorf("look up images: %w", current.ctx.Err())
		return
	}
	current.answers, current.err = b.run(current.ctx, current.repository, current.tags)
}

// end records the end of a batch, and starts the lookups that arrived meanwhile.
func (b *batcher) end(current *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running[current.repository]--; b.running[current.repository] > 0 {
		return
	}
	delete(b.running, current.repository)
	if next := b.pending[current.repository]; next != nil {
		b.startNow(next)
	}
}

// leave removes a caller; the last one ends the batch.
func (b *batcher) leave(current *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if current.waiting--; current.waiting > 0 {
		return
	}
	if b.pending[current.repository] == current {
		delete(b.pending, current.repository)
	}
	current.cancel()
}
