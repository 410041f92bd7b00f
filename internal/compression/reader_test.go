package compression

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// packed returns bytes compressed by our writer.
func packed(t *testing.T, plain []byte, format Format) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, NewPool(t.Context(), format))
	_, _ = w.Write(plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// streamed returns bytes compressed by the library as one frame without a size.
func streamed(t *testing.T, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 1<<20)
		_, _ = w.Write(rest[:n])
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReaderReadsEveryStream(t *testing.T) {
	plain := compressible(2*zstdFrameBytes + 17)
	// A frame that a decompressor skips: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2
	skipped := append(binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, 3), "abc"...)
	var inGzip bytes.Buffer
	w := gzip.NewWriter(&inGzip)
	_, _ = w.Write(plain)
	_ = w.Close()
	for name, test := range map[string]struct {
		compressed []byte
		format     Format
		want       []byte
	}{
		"ours":                  {packed(t, plain, Zstd), Zstd, plain},
		"ours in gzip":          {packed(t, plain, Gzip), Gzip, plain},
		"nothing":               {packed(t, nil, Zstd), Zstd, nil},
		"zeros":                 {packed(t, make([]byte, 3*zstdFrameBytes), Zstd), Zstd, make([]byte, 3*zstdFrameBytes)},
		"a frame without size":  {streamed(t, plain), Zstd, plain},
		"ours, then another's":  {append(packed(t, plain[:100], Zstd), streamed(t, plain)...), Zstd, append(bytes.Clone(plain[:100]), plain...)},
		"a frame to be skipped": {append(bytes.Clone(skipped), packed(t, plain, Zstd)...), Zstd, plain},
		"gzip of another":       {inGzip.Bytes(), Gzip, plain},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(t.Context(), bytes.NewReader(test.compressed), test.format)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("read %d bytes, %v; want %d", len(got), err, len(test.want))
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReaderReportsADamagedStream(t *testing.T) {
	plain := compressible(zstdFrameBytes + 17)
	whole := packed(t, plain, Zstd)
	for name, compressed := range map[string][]byte{
		"cut in a frame":   whole[:len(whole)-5],
		"cut in a header":  whole[:3],
		"something else":   []byte("not compressed at all"),
		"a reserved block": append(bytes.Clone(whole), 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x07, 0x00, 0x00),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(t.Context(), bytes.NewReader(compressed), Zstd)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			if got, err := io.ReadAll(r); err == nil {
				t.Errorf("read %d bytes without an error", len(got))
			}
		})
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	source, feed := io.Pipe() // gives nothing
	defer func() { _ = feed.Close() }()
	r, err := NewReader(ctx, source, Zstd)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
	_ = r.Close()
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, 'h', 'e', 'l', 'l', 'o'})
	f.Fuzz(func(t *testing.T, compressed []byte) {
		r, err := NewReader(t.Context(), bytes.NewReader(compressed), Zstd)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.LimitReader(r, 64<<20))
		if err == nil && len(got) < 64<<20 {
			want, wantErr := io.ReadAll(must(zstd.NewReader(bytes.NewReader(compressed))))
			if wantErr != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, the library %d: %v", len(got), len(want), wantErr)
			}
		}
		_ = r.Close()
	})
}

func must(d *zstd.Decoder, err error) *zstd.Decoder {
	if err != nil {
		panic(err)
	}
	return d
}
