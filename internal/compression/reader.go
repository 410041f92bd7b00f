package compression

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// readerBytes is the size of a buffer in front of a decompressor.
	readerBytes = 256 << 10
	// maxFrameBytes is how large a frame may be to be decompressed as a whole, in memory.
	maxFrameBytes = 2 * zstdFrameBytes
	// maxWindowBytes is how far back other people's frames may refer.
	maxWindowBytes = 128 << 20
	// framesAhead is how many frames wait decompressed, or are being decompressed, before a reader wants them.
	framesAhead = 2
)

// ReaderBytes is how much memory a reader takes at most while it reads our own frames: for those ahead, the one that is
// read and the one that is being taken, both compressed and not.
const ReaderBytes = (framesAhead + 2) * 2 * zstdFrameBytes

// NewReader decompresses a stream. It takes the frames of zstd on several cores if each has a size, as ours have. ctx
// ends it early; callers must call Close, which leaves compressed open.
func NewReader(ctx context.Context, compressed io.Reader, format Format) (io.ReadCloser, error) {
	if format == Gzip {
		return gzip.NewReader(bufio.NewReaderSize(compressed, readerBytes))
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &frameReader{ctx: ctx, cancel: cancel, queue: make(chan chan frame, framesAhead)}
	go r.run(bufio.NewReaderSize(compressed, readerBytes))
	return r, nil
}

// decoder is shared: it decompresses as many frames at once as there are cores.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxWindowBytes))
	if err != nil {
		panic("make decoder: " + err.Error()) // wrong options only
	}
	return d
})

var plainFrames = sync.Pool{New: func() any { buffer := make([]byte, 0, zstdFrameBytes); return &buffer }}

// frame is a decompressed frame, or what ended the stream.
type frame struct {
	plain *[]byte
	rest  io.ReadCloser // the rest of the stream, which has frames without a size
	err   error
}

// frameReader decompresses frames side by side.
type frameReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan chan frame

	current frame
	left    []byte
}

// run reads frames until the stream or the reader ends.
func (r *frameReader) run(compressed *bufio.Reader) {
	for {
		result := make(chan frame, 1)
		select {
		case r.queue <- result:
		case <-r.ctx.Done():
			return
		}
		whole, err := readFrame(compressed)
		switch {
		case errors.Is(err, errNoSize):
			rest, err := zstd.NewReader(
				compressed, zstd.WithDecoderMaxWindow(maxWindowBytes), zstd.WithDecoderLowmem(true),
			)
			if err != nil {
				result <- frame{err: err}
				return
			}
			result <- frame{rest: rest.IOReadCloser()}
			<-r.ctx.Done() // the rest reads the compressed stream
			return
		case err != nil:
			result <- frame{err: err}
			return
		}
		go func() {
			buffer, _ := plainFrames.Get().(*[]byte)
			plain, err := decoder().DecodeAll(whole, (*buffer)[:0])
			*buffer = plain
			result <- frame{plain: buffer, err: err}
		}()
	}
}

// errNoSize reports a frame that is too large to be decompressed as a whole, or does not tell its size.
var errNoSize = errors.New("the frame has no size")

// readFrame reads one frame: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1. It reads nothing of a frame without
// a size. It returns io.EOF at the end of the stream.
func readFrame(compressed *bufio.Reader) ([]byte, error) {
	var header zstd.Header
	for {
		start, err := compressed.Peek(zstd.HeaderMaxSize)
		if len(start) == 0 {
			return nil, err
		}
		if err := header.Decode(start); err != nil {
			return nil, fmt.Errorf("read frame: %w", err)
		}
		if !header.Skippable {
			break
		}
		if _, err := compressed.Discard(header.HeaderSize + int(header.SkippableSize)); err != nil {
			return nil, fmt.Errorf("read frame: %w", noEnd(err))
		}
	}
	if !header.HasFCS || header.FrameContentSize > maxFrameBytes {
		return nil, errNoSize
	}
	whole := make([]byte, 0, header.FrameContentSize/2+1024)
	whole, err := appendFrom(compressed, whole, header.HeaderSize)
	for last := false; err == nil && !last; {
		if whole, err = appendFrom(compressed, whole, 3); err != nil {
			break
		}
		block := whole[len(whole)-3:]
		bits := int(block[0]) | int(block[1])<<8 | int(block[2])<<16
		length := bits >> 3
		if bits>>1&3 == 1 { // a block of one byte that repeats
			length = 1
		}
		last = bits&1 == 1
		if len(whole)+length > maxFrameBytes+maxFrameBytes/2 {
			return nil, errors.New("read frame: it is larger than its contents")
		}
		whole, err = appendFrom(compressed, whole, length)
	}
	if err == nil && header.HasCheckSum {
		whole, err = appendFrom(compressed, whole, 4)
	}
	if err != nil {
		return nil, fmt.Errorf("read frame: %w", noEnd(err))
	}
	return whole, nil
}

func appendFrom(from io.Reader, to []byte, length int) ([]byte, error) {
	start := len(to)
	to = append(to, make([]byte, length)...)
	_, err := io.ReadFull(from, to[start:])
	return to, err
}

// noEnd turns the end of a stream within a frame into an error.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.current.rest != nil {
			return r.current.rest.Read(p)
		}
		if r.current.err != nil {
			return 0, r.current.err
		}
		r.next()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *frameReader) next() {
	if r.current.plain != nil {
		plainFrames.Put(r.current.plain)
		r.current.plain = nil
	}
	select {
	case result := <-r.queue:
		select {
		case r.current = <-result:
		case <-r.ctx.Done():
			r.current = frame{err: r.ctx.Err()}
		}
	case <-r.ctx.Done():
		r.current = frame{err: r.ctx.Err()}
	}
	if r.current.plain != nil && r.current.err == nil {
		r.left = *r.current.plain
	}
}

// Close ends the reader. The compressed stream may be read until it is closed, too.
func (r *frameReader) Close() error {
	r.cancel()
	if r.current.rest != nil {
		return r.current.rest.Close()
	}
	return nil
}
