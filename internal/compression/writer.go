// Package compression compresses layers with several goroutines, and decompresses them. The same bytes in always give
// the same bytes out, so that a layer keeps its digest: docs/adr/0021-our-own-parallel-gzip.md and
// docs/adr/0023-oci-manifests-and-zstd-layers.md.
package compression

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"

	"imagecache.dev/internal/priority"
)

// Format is how a layer is compressed.
type Format string

// Formats.
const (
	Gzip Format = "gzip"
	Zstd Format = "zstd"
)

// codec compresses the blocks of one format. Several goroutines may use it.
type codec interface {
	// blockBytes is compressed at once by one goroutine.
	blockBytes() int
	// windowBytes is how much before a block its compression refers to.
	windowBytes() int
	// begin and end are written before and after all blocks. plain is all that was compressed.
	begin() []byte
	end(plain *checksum) []byte
	compress(block, before []byte) []byte
}

// Pool is what the writers of one archive share: goroutines, and memory for blocks that wait. Several goroutines may
// use it. It needs no Close.
type Pool struct {
	ctx     context.Context // has the priority of the goroutines, and ends nothing
	format  Format
	codec   codec
	slots   chan struct{} // bounds the goroutines
	waiting chan struct{} // bounds the blocks that are not compressed yet
	blocks  sync.Pool     // clearing new ones costs as much as a fifth of compressing them
}

// waitingBytes is how much may wait in memory to be compressed. podman copies
// each layer before it writes it out: what waits is compressed meanwhile.
const waitingBytes = 64 << 20

// NewPool returns a pool that keeps all cores busy, or at low priority all but one: the rest of this process goes on in
// time, also where the machine is busy with what people wait for. The pool takes its priority from ctx, and does not
// end with it.
func NewPool(ctx context.Context, format Format) *Pool {
	workers := runtime.GOMAXPROCS(0)
	if priority.IsLow(ctx) {
		workers = max(1, workers-1)
	}
	return newPool(ctx, format, workers, waitingBytes/codecs[format].blockBytes())
}

var codecs = map[Format]codec{Gzip: &gzipCodec{}, Zstd: &zstdCodec{}}

func newPool(ctx context.Context, format Format, workers, blocks int) *Pool {
	return &Pool{
		ctx: ctx, format: format, codec: codecs[format],
		slots: make(chan struct{}, workers), waiting: make(chan struct{}, blocks),
	}
}

// Format is what the pool's writers write.
func (p *Pool) Format() Format { return p.format }

// Writer compresses blocks side by side into one stream. What it writes depends on what it is given and on nothing
// else. One goroutine at a time may use it.
type Writer struct {
	block, before []byte // being filled; the window before it
	any           bool   // a block was sent
	plain         checksum
	queue         chan chan []byte // results in the order of the blocks
	written       chan error
	pool          *Pool
}

// NewWriter returns a Writer that writes to out in a goroutine of its own, until Close. Callers must call Close.
func NewWriter(out io.Writer, pool *Pool) *Writer {
	w := &Writer{
		queue:   make(chan chan []byte, cap(pool.waiting)),
		written: make(chan error, 1),
		pool:    pool,
	}
	priority.Go(pool.ctx, func() { w.written <- w.drain(out) })
	return w
}

// drain writes results until the queue is closed; after an error it only takes them.
func (w *Writer) drain(out io.Writer) error {
	_, err := out.Write(w.pool.codec.begin())
	for result := range w.queue {
		compressed := <-result
		if err == nil {
			_, err = out.Write(compressed)
		}
	}
	if err != nil {
		return err
	}
	_, err = out.Write(w.pool.codec.end(&w.plain))
	return err
}

// Write takes all of p. It never fails: Close reports what failed.
func (w *Writer) Write(p []byte) (int, error) {
	if w.pool.format == Gzip {
		w.plain.add(p)
	}
	blockBytes := w.pool.codec.blockBytes()
	for rest := p; len(rest) > 0; {
		if w.block == nil {
			w.block = w.pool.block()
		}
		n := min(len(rest), blockBytes-len(w.block))
		w.block = append(w.block, rest[:n]...)
		rest = rest[n:]
		if len(w.block) == blockBytes {
			w.send()
		}
	}
	return len(p), nil
}

// Close writes what is left, waits until out has it, and returns the first error of all writing. It leaves out open.
func (w *Writer) Close() error {
	if len(w.block) > 0 || !w.any && w.pool.format == Zstd { // zstd has no stream without a frame
		w.send()
	}
	close(w.queue)
	return <-w.written
}

func (w *Writer) send() {
	block, before := w.block, w.before
	w.block, w.any = nil, true
	if window := w.pool.codec.windowBytes(); window > 0 {
		w.before = bytes.Clone(block[max(0, len(block)-window):])
	}
	result := make(chan []byte, 1)
	w.pool.waiting <- struct{}{}
	w.queue <- result
	go func() {
		w.pool.slots <- struct{}{}
		priority.Do(w.pool.ctx, func() { result <- w.pool.codec.compress(block, before) })
		w.pool.blocks.Put(&block)
		<-w.pool.slots
		<-w.pool.waiting
	}()
}

// block is an empty block; send gives it back.
func (p *Pool) block() []byte {
	if block, ok := p.blocks.Get().(*[]byte); ok {
		return (*block)[:0]
	}
	return make([]byte, 0, p.codec.blockBytes())
}
