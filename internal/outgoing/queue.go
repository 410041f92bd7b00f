package outgoing

import (
	"bytes"
	"errors"
	"io"
)

// queued is how many writes may wait in a queue, each of 32 KiB as io.Copy makes them: 2 MiB.
const queued = 64

// queueReader and queueWriter are two ends of a queue between two goroutines. Unlike with a pipe, the writer does not
// wait for the reader until the queue is full.
type queueReader struct {
	chunks  <-chan []byte
	rest    []byte
	ended   *error
	failed  chan<- struct{}
	failure *error
}

type queueWriter struct {
	chunks  chan<- []byte
	ended   *error
	failed  <-chan struct{}
	failure *error
}

func newQueue() (*queueReader, *queueWriter) {
	chunks, failed := make(chan []byte, queued), make(chan struct{})
	var ended, failure error
	return &queueReader{chunks: chunks, ended: &ended, failed: failed, failure: &failure},
		&queueWriter{chunks: chunks, ended: &ended, failed: failed, failure: &failure}
}

func (r *queueReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		chunk, ok := <-r.chunks
		if !ok {
			return 0, *r.ended
		}
		r.rest = chunk
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fail ends the reader's side, once. The writer's next write fails if err is not nil.
func (r *queueReader) fail(err error) {
	if err == nil {
		return // all was read
	}
	*r.failure = err
	close(r.failed)
}

func (w *queueWriter) Write(p []byte) (int, error) {
	select {
	case w.chunks <- bytes.Clone(p):
		return len(p), nil
	case <-w.failed:
		return 0, *w.failure
	}
}

// close ends the content, for the reader with err or with io.EOF.
func (w *queueWriter) close(err error) {
	if err == nil {
		err = io.EOF
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	*w.ended = err
	close(w.chunks)
}
