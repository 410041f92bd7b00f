package ranges

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// sourceOf is a source of one blob. It counts the bytes that were requested.
func sourceOf(t *testing.T, blob []byte) (source *Source, requested *atomic.Int64) {
	t.Helper()
	requested = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(&counting{w, requested}, r, "", time.Time{}, bytes.NewReader(blob))
	}))
	t.Cleanup(server.Close)
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/web")
	if err != nil {
		t.Fatal(err)
	}
	return NewSource(repository, server.Client()), requested
}

type counting struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// TestReaderThatTakesItsTimeBoundsWhatIsRead holds the memory of a stream, and that nothing is written to a disk.
func TestReaderThatTakesItsTimeBoundsWhatIsRead(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	blob := make([]byte, 8*StreamBytes)
	source, requested := sourceOf(t, blob)
	stream := source.Stream(t.Context(), "sha256:0", 0, int64(len(blob)))
	if _, err := io.CopyN(io.Discard, stream, 1000); err != nil {
		t.Fatal(err)
	}
	for last := int64(-1); requested.Load() != last; { // until nothing more is read for a while
		last = requested.Load()
		time.Sleep(300 * time.Millisecond)
	}
	if read := requested.Load(); read > StreamBytes || read < window*partBytes {
		t.Errorf("%d bytes were read for a reader that took 1000; want %d to %d", read, window*partBytes, StreamBytes)
	}
	got, err := io.ReadAll(stream)
	if err != nil || len(got) != len(blob)-1000 {
		t.Errorf("read the other %d bytes, %v; want %d", len(got), err, len(blob)-1000)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%d files, %v", len(left), err)
	}
}

func TestStreamThatIsClosedEndsItsReader(t *testing.T) {
	blob := make([]byte, 2*StreamBytes)
	source, _ := sourceOf(t, blob)
	stream := source.Stream(t.Context(), "sha256:0", 0, int64(len(blob)))
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(stream); err == nil {
		t.Error("a stream that was closed looks complete")
	}
}
