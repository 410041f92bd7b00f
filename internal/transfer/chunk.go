package transfer

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// chunk is the body of one request: the next bytes of a blob. HTTP may go on reading a body after its request has
// failed. Nothing is read, and nothing counts, after detach.
type chunk struct {
	stall time.Duration
	watch *time.Timer // ends the request if the connection takes nothing

	mu       sync.Mutex
	content  io.Reader
	left     int64
	count    func(bytes int64)
	detached bool
}

// newChunk returns the next length bytes of content. count is called with the bytes that are read, and stalled when
// the connection has taken none for a while.
func newChunk(content io.Reader, length int64, count func(bytes int64), stall time.Duration, stalled func()) *chunk {
	return &chunk{
		stall: stall, watch: time.AfterFunc(stall, stalled), content: content, left: length, count: count,
	}
}

func (c *chunk) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.detached:
		return 0, http.ErrBodyReadAfterClose
	case c.left == 0:
		return 0, io.EOF
	}
	c.watch.Stop() // a source that takes its time is no stall of the connection
	n, err := c.content.Read(p[:min(int64(len(p)), c.left)])
	c.watch.Reset(c.stall)
	c.left -= int64(n)
	c.count(int64(n))
	if err == io.EOF && c.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close leaves the content to the next chunk.
func (c *chunk) Close() error { return nil }

// detach ends the chunk, and reports whether all of it was read.
func (c *chunk) detach() (whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.Stop()
	c.detached = true
	return c.left == 0
}
