package compression

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// compressible returns bytes that are always the same. Each MiB repeats its beginning: compressing what does not repeat
// takes the race detector a minute.
func compressible(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var plain []byte
	for len(plain) < size {
		beginning := make([]byte, 32<<10)
		for i := range beginning {
			beginning[i] = byte(random.IntN(7))
		}
		plain = append(plain, bytes.Repeat(beginning, 1<<20/len(beginning))...)
	}
	return plain[:size]
}

// decompressors are those of other people.
var decompressors = map[Format]func(io.Reader) (io.Reader, error){
	Gzip: func(compressed io.Reader) (io.Reader, error) {
		reader, err := gzip.NewReader(compressed)
		if err == nil {
			reader.Multistream(false)
		}
		return reader, err
	},
	Zstd: func(compressed io.Reader) (io.Reader, error) { return zstd.NewReader(compressed) },
}

func TestWriterAlwaysWritesTheSame(t *testing.T) {
	for format, codec := range codecs {
		block := codec.blockBytes()
		for _, size := range []int{0, 1, gzipWindowBytes, block, 2*block + 17} {
			t.Run(fmt.Sprint(format, " ", size), func(t *testing.T) { testWriter(t, format, compressible(size)) })
		}
	}
}

func testWriter(t *testing.T, format Format, plain []byte) {
	var first, second bytes.Buffer
	for i, out := range []*bytes.Buffer{&first, &second} {
		w := NewWriter(out, newPool(t.Context(), format, i*3+1, i*9+1))
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
		t.Error("the result depends on the goroutines or on the pieces")
	}
	reader, err := decompressors[format](&first)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("read back %d of %d bytes, %v", len(got), len(plain), err)
	}
}

// TestCompressorThatWasUsedWritesTheSame is for state that one block leaves behind for the next.
func TestCompressorThatWasUsedWritesTheSame(t *testing.T) {
	plain := compressible(3 * zstdFrameBytes)
	for format, codec := range codecs {
		fresh := map[Format]interface {
			compress(block, before []byte) []byte
		}{Gzip: &gzipCodec{}, Zstd: &zstdCodec{}}[format]
		want := fresh.compress(plain[:codec.blockBytes()], nil)
		for range 3 {
			codec.compress(plain[len(plain)-codec.blockBytes():], nil)
			if got := codec.compress(plain[:codec.blockBytes()], nil); !bytes.Equal(got, want) {
				t.Errorf("%s: a compressor that was used writes %d other bytes", format, len(got))
			}
		}
	}
}

func TestZstdFramesTellTheirSize(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, newPool(t.Context(), Zstd, 2, 4))
	_, _ = w.Write(compressible(2*zstdFrameBytes + 5))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var header zstd.Header
	if err := header.Decode(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	if !header.HasFCS || header.FrameContentSize != zstdFrameBytes || header.HasCheckSum {
		t.Errorf("the first frame is %+v", header)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterReportsAFailedWrite(t *testing.T) {
	for format, codec := range codecs {
		w := NewWriter(failingWriter{}, newPool(t.Context(), format, 2, 4))
		if _, err := w.Write(make([]byte, 9*codec.blockBytes())); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err == nil || err.Error() != "disk full" {
			t.Errorf("%s: Close: %v", format, err)
		}
	}
}

func TestEncoderNamesFormatAndLibrary(t *testing.T) {
	if Encoder(Zstd) == Encoder(Gzip) || !strings.HasPrefix(Encoder(Zstd), string(Zstd)) {
		t.Errorf("encoders %q, %q", Encoder(Zstd), Encoder(Gzip))
	}
}
