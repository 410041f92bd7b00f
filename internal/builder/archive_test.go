package builder

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestGzipWriterWritesWhatGunzipReads(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, gzipWindow, gzipBlock - 1, gzipBlock, gzipBlock + 1, 5*gzipBlock + 17} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(random.IntN(7)) // compressible
		}
		var first, second bytes.Buffer
		for i, out := range []*bytes.Buffer{&first, &second} {
			w := newGzipWriter(out, gzipPoolOf(t.Context(), i*3+1, i*9+1))
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
	w := newGzipWriter(failingWriter{}, gzipPoolOf(t.Context(), 2, 4))
	if _, err := w.Write(make([]byte, 20*gzipBlock)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || err.Error() != "disk full" {
		t.Errorf("Close: %v", err)
	}
}

func TestLastWordsAreTheReason(t *testing.T) {
	const at = "[2026-01-02T03:04:05.678Z] "
	tests := map[string]struct{ output, want string }{
		"podman's error before the reference CLI's": {
			at + "STEP 2\n" + at + "Error: building at STEP \"RUN x\": exit status 3\n\n" + at + "Exit code 3\nError: Command failed: podman build\n    at IW (x.js:1)\n",
			`building at STEP "RUN x": exit status 3`,
		},
		"BuildKit":      {"#5 ERROR: no\nERROR: failed to solve: no\n", "failed to solve: no"},
		"docker":        {"Error response from daemon: no such image\n", "no such image"},
		"nothing said":  {"", ""},
		"no error line": {"a\nb\n\n", "b"},
		"too long":      {strings.Repeat("ä", 1000), strings.Repeat("ä", 300) + "…"},
		"a level":       {`time="x" level=error msg="no space"` + "\n", "no space"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := lastWords([]byte(test.output)); got != test.want {
				t.Errorf("lastWords: %q, want %q", got, test.want)
			}
		})
	}
}

func TestTailKeepsTheLastBytes(t *testing.T) {
	said := &tail{limit: 5}
	for _, text := range []string{"abc", "def", "0123456789", "x"} {
		if n, err := said.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if got := said.String(); got != "6789x" {
		t.Errorf("tail: %q", got)
	}
}
