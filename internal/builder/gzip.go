package builder

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
	// gzipBlock is compressed at once by one goroutine.
	gzipBlock = 512 << 10
	// gzipWindow is how far back a block may refer: https://www.rfc-editor.org/rfc/rfc1951#section-2
	gzipWindow = 32 << 10
	// gzipLevel takes two thirds of the usual level's time for 6 % more bytes: docs/adr/0021-our-own-parallel-gzip.md.
	gzipLevel = 3
)

// gzipHeader has no name and no time, so that the same bytes give the same
// file: https://www.rfc-editor.org/rfc/rfc1952#section-2.3
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// gzipEnd is an empty last block, which closes a stream of flushed ones.
var gzipEnd = []byte{0x03, 0x00}

// gzipPool is what the writers of one archive share: goroutines, and memory
// for blocks that wait.
type gzipPool struct {
	ctx         context.Context // has the priority of the goroutines, and ends nothing
	slots       chan struct{}   // bounds the goroutines
	waiting     chan struct{}   // bounds the blocks that are not compressed yet
	blocks      sync.Pool       // clearing new ones costs as much as a fifth of compressing them
	compressors sync.Pool
}

// waitingBytes is how much may wait in memory to be compressed. podman copies
// each layer before it writes it out: what waits is compressed meanwhile.
const waitingBytes = 64 << 20

// newGzipPool keeps all cores busy, or at low priority all but one: the rest of this process goes on in time, also
// where the machine is busy with what people wait for.
func newGzipPool(ctx context.Context) *gzipPool {
	workers := runtime.GOMAXPROCS(0)
	if priority.IsLow(ctx) {
		workers = max(1, workers-1)
	}
	return gzipPoolOf(ctx, workers, waitingBytes/gzipBlock)
}

func gzipPoolOf(ctx context.Context, workers, blocks int) *gzipPool {
	return &gzipPool{ctx: ctx, slots: make(chan struct{}, workers), waiting: make(chan struct{}, blocks)}
}

// gzipWriter compresses blocks side by side into one gzip member. What it
// writes depends on what it is given and on nothing else.
type gzipWriter struct {
	block, before []byte // being filled; the window before it
	size, sum     uint32
	queue         chan chan []byte // results in the order of the blocks
	written       chan error
	pool          *gzipPool
}

// newGzipWriter starts writing to out; Close must be called and waits for it.
func newGzipWriter(out io.Writer, pool *gzipPool) *gzipWriter {
	w := &gzipWriter{
		queue:   make(chan chan []byte, cap(pool.waiting)),
		written: make(chan error, 1),
		pool:    pool,
	}
	priority.Go(pool.ctx, func() { w.written <- w.drain(out) })
	return w
}

// drain writes results until the queue is closed; after an error it only takes them.
func (w *gzipWriter) drain(out io.Writer) error {
	_, err := out.Write(gzipHeader)
	for result := range w.queue {
		compressed := <-result
		if err == nil {
			_, err = out.Write(compressed)
		}
	}
	if err != nil {
		return err
	}
	trailer := binary.LittleEndian.AppendUint32(bytes.Clone(gzipEnd), w.sum)
	_, err = out.Write(binary.LittleEndian.AppendUint32(trailer, w.size))
	return err
}

func (w *gzipWriter) Write(p []byte) (int, error) {
	w.sum = crc32.Update(w.sum, crc32.IEEETable, p)
	w.size += uint32(len(p))
	for rest := p; len(rest) > 0; {
		if w.block == nil {
			w.block = w.pool.block()
		}
		n := min(len(rest), gzipBlock-len(w.block))
		w.block = append(w.block, rest[:n]...)
		rest = rest[n:]
		if len(w.block) == gzipBlock {
			w.send()
		}
	}
	return len(p), nil
}

// Close writes what is left and returns the first error of all writing.
func (w *gzipWriter) Close() error {
	if len(w.block) > 0 {
		w.send()
	}
	close(w.queue)
	return <-w.written
}

func (w *gzipWriter) send() {
	block, before := w.block, w.before
	w.block, w.before = nil, bytes.Clone(block[max(0, len(block)-gzipWindow):])
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
func (p *gzipPool) block() []byte {
	if block, ok := p.blocks.Get().(*[gzipBlock]byte); ok {
		return block[:0]
	}
	return make([]byte, 0, gzipBlock)
}

func (p *gzipPool) compress(block, before []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(block)/2))
	compressor, ok := p.compressors.Get().(*flate.Writer)
	if !ok {
		compressor, _ = flate.NewWriter(out, gzipLevel) // fails for a wrong level only
	}
	compressor.ResetDict(out, before)
	_, writeErr := compressor.Write(block)
	if err := errors.Join(writeErr, compressor.Flush()); err != nil {
		panic("compressing into memory failed: " + err.Error())
	}
	p.compressors.Put(compressor)
	p.blocks.Put((*[gzipBlock]byte)(block[:gzipBlock]))
	return out.Bytes()
}
