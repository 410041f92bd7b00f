// Package compression writes gzip with several goroutines. The same bytes in always give the same bytes out, so that a
// layer keeps its digest: docs/adr/0021-our-own-parallel-gzip.md.
package compression

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"

	"imagecache.dev/internal/priority"
)

const (
	// blockBytes is compressed at once by one goroutine.
	blockBytes = 512 << 10
	// windowBytes is how far back a block may refer: https://www.rfc-editor.org/rfc/rfc1951#section-2
	windowBytes = 32 << 10
	// level takes two thirds of the usual level's time for 6 % more bytes: docs/adr/0021-our-own-parallel-gzip.md.
	level = 3
)

// header has no name and no time, so that the same bytes give the same
// file: https://www.rfc-editor.org/rfc/rfc1952#section-2.3
var header = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// end is an empty last block, which closes a stream of flushed ones.
var end = []byte{0x03, 0x00}

// Pool is what the writers of one archive share: goroutines, and memory for blocks that wait. Several goroutines may
// use it. It needs no Close.
type Pool struct {
	ctx         context.Context // has the priority of the goroutines, and ends nothing
	slots       chan struct{}   // bounds the goroutines
	waiting     chan struct{}   // bounds the blocks that are not compressed yet
	blocks      sync.Pool       // clearing new ones costs as much as a fifth of compressing them
	compressors sync.Pool
}

// waitingBytes is how much may wait in memory to be compressed. podman copies
// each layer before it writes it out: what waits is compressed meanwhile.
const waitingBytes = 64 << 20

// NewPool returns a pool that keeps all cores busy, or at low priority all but one: the rest of this process goes on in
// time, also where the machine is busy with what people wait for. The pool takes its priority from ctx, and does not
// end with it.
func NewPool(ctx context.Context) *Pool {
	workers := runtime.GOMAXPROCS(0)
	if priority.IsLow(ctx) {
		workers = max(1, workers-1)
	}
	return newPool(ctx, workers, waitingBytes/blockBytes)
}

func newPool(ctx context.Context, workers, blocks int) *Pool {
	return &Pool{ctx: ctx, slots: make(chan struct{}, workers), waiting: make(chan struct{}, blocks)}
}

// Writer compresses blocks side by side into one gzip member. What it writes depends on what it is given and on nothing
// else. One goroutine at a time may use it.
type Writer struct {
	block, before []byte // being filled; the window before it
	size, sum     uint32
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
	_, err := out.Write(header)
	for result := range w.queue {
		compressed := <-result
		if err == nil {
			_, err = out.Write(compressed)
		}
	}
	if err != nil {
		return err
	}
	trailer := binary.LittleEndian.AppendUint32(bytes.Clone(end), w.sum)
	_, err = out.Write(binary.LittleEndian.AppendUint32(trailer, w.size))
	return err
}

// Write takes all of p. It never fails: Close reports what failed.
func (w *Writer) Write(p []byte) (int, error) {
	w.sum = crc32.Update(w.sum, crc32.IEEETable, p)
	w.size += uint32(len(p))
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
	if len(w.block) > 0 {
		w.send()
	}
	close(w.queue)
	return <-w.written
}

func (w *Writer) send() {
	block, before := w.block, w.before
	w.block, w.before = nil, bytes.Clone(block[max(0, len(block)-windowBytes):])
	result := make(chan []byte, 1)
	w.pool.waiting <- struct{}{}
	w.queue <- result
	go func() {
		w.pool.slots <- struct{}{}
		priority.Do(w.pool.ctx, func() { result <- w.pool.compress(block, before) })
		<-w.pool.slots
		<-w.pool.waiting
	}()
}

// block is an empty block; compress takes it back.
func (p *Pool) block() []byte {
	if block, ok := p.blocks.Get().(*[blockBytes]byte); ok {
		return block[:0]
	}
	return make([]byte, 0, blockBytes)
}

func (p *Pool) compress(block, before []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(block)/2))
	compressor, ok := p.compressors.Get().(*flate.Writer)
	if !ok {
		compressor, _ = flate.NewWriter(out, level) // fails for a wrong level only
	}
	compressor.ResetDict(out, before)
	_, writeErr := compressor.Write(block)
	if err := errors.Join(writeErr, compressor.Flush()); err != nil {
		panic("compressing into memory failed: " + err.Error())
	}
	p.compressors.Put(compressor)
	p.blocks.Put((*[blockBytes]byte)(block[:blockBytes]))
	return out.Bytes()
}
