package ranges

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// partBytes is the size of a range. At 80 MB/s and 25 ms to the first byte, a connection spends as long on waiting as
	// on transferring; the ranges of a window make up for it.
	partBytes = 2 << 20
	// window is how many ranges of a stream are requested before a reader wants them.
	window = 4
)

// StreamBytes is how much memory a stream takes at most: the ranges that wait, the one that waits to be queued, and the
// one that is read.
const StreamBytes = (window + 2) * partBytes

var buffers = sync.Pool{New: func() any { return new([partBytes]byte) }}

// Stream reads a blob from an offset on. It begins to fetch at once, and goes on until its window is full. One goroutine
// at a time may read. Close ends all transfers.
type Stream struct {
	source *Source
	digest string
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan chan part // in the order of the blob

	position, size int64
	current        part
	rest           []byte // of current
	sequential     io.ReadCloser
	err            error
}

type part struct {
	buffer *[partBytes]byte
	length int
	err    error
}

// Stream returns a stream of the bytes of a blob with a size, from an offset on.
func (s *Source) Stream(ctx context.Context, digest string, offset, size int64) *Stream {
	ctx, cancel := context.WithCancel(ctx)
	stream := &Stream{
		source: s, digest: digest, ctx: ctx, cancel: cancel, queue: make(chan chan part, window),
		position: offset, size: size,
	}
	if !s.whole.Load() {
		go stream.fetch(offset)
	}
	return stream
}

// fetch requests all ranges, as far as the window allows.
func (s *Stream) fetch(offset int64) {
	defer close(s.queue)
	for from := offset; from < s.size; from += partBytes {
		result := make(chan part, 1)
		select {
		case s.queue <- result:
		case <-s.ctx.Done():
			return
		}
		length := int(min(partBytes, s.size-from))
		go func() {
			buffer, _ := buffers.Get().(*[partBytes]byte)
			result <- part{buffer, length, s.source.read(s.ctx, s.digest, from, buffer[:length])}
		}()
	}
}

// Read implements io.Reader. Errors hold no address.
func (s *Stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.err == nil && s.sequential == nil {
		s.next()
	}
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest, s.position = s.rest[n:], s.position+int64(n)
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.readSequential(p)
}

// next takes the next range from the queue.
func (s *Stream) next() {
	s.release()
	if s.position >= s.size {
		s.err = io.EOF
		return
	}
	if s.source.whole.Load() {
		s.openSequential()
		return
	}
	select {
	case result, open := <-s.queue:
		if !open {
			s.err = context.Cause(s.ctx)
			return
		}
		s.current = <-result
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
		return
	}
	switch err := s.current.err; {
	case errors.Is(err, errWhole):
		s.openSequential()
	case err != nil:
		s.err = fmt.Errorf("read blob %s: %w", s.digest, err)
	default:
		s.rest = s.current.buffer[:s.current.length]
	}
}

func (s *Stream) release() {
	if s.current.buffer != nil {
		buffers.Put(s.current.buffer)
		s.current = part{}
	}
}

// openSequential reads the rest from one answer: the registry ignores ranges.
func (s *Stream) openSequential() {
	body, err := s.source.open(s.ctx, s.digest, 0, -1)
	if err == nil {
		_, err = io.CopyN(io.Discard, body, s.position)
	}
	if err != nil {
		s.err = fmt.Errorf("read blob %s: %w", s.digest, withoutAddress(err))
		return
	}
	s.sequential = body
}

func (s *Stream) readSequential(p []byte) (int, error) {
	if s.position >= s.size {
		s.err = io.EOF
		return 0, io.EOF
	}
	n, err := s.sequential.Read(p[:min(int64(len(p)), s.size-s.position)])
	s.position += int64(n)
	if err != nil && s.position < s.size {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		_ = s.sequential.Close()
		s.err = fmt.Errorf("read blob %s: %w", s.digest, withoutAddress(err))
		return n, s.err
	}
	return n, nil
}

// Close ends all transfers of the stream, and a Read that waits for one.
func (s *Stream) Close() error {
	s.cancel()
	return nil
}
