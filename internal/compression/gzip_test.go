package compression

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func TestGzipWriterWritesWhatGunzipReads(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, windowBytes, blockBytes - 1, blockBytes, blockBytes + 1, 5*blockBytes + 17} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(random.IntN(7)) // compressible
		}
		var first, second bytes.Buffer
		for i, out := range []*bytes.Buffer{&first, &second} {
			w := NewWriter(out, newPool(t.Context(), i*3+1, i*9+1))
			for rest := plain; len(rest) > 0; {
				n := min(len(rest), 100_003*(i+1))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%d bytes: the result depends on the goroutines or on the pieces", size)
		}
		reader, err := gzip.NewReader(&first)
		if err != nil {
			t.Fatal(err)
		}
		reader.Multistream(false)
		got, err := io.ReadAll(reader)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: read back %d, %v", size, len(got), err)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestGzipWriterReportsAFailedWrite(t *testing.T) {
	w := NewWriter(failingWriter{}, newPool(t.Context(), 2, 4))
	if _, err := w.Write(make([]byte, 20*blockBytes)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || err.Error() != "disk full" {
		t.Errorf("Close: %v", err)
	}
}
