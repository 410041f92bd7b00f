package savedimage

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/google/go-containerregistry/pkg/v1/empty"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

func compressWith(t *testing.T, plain []byte, writer func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestLayerIsWrittenInTheFormatAskedFor(t *testing.T) {
	plain := bytes.Repeat([]byte("a file\n"), 10_000)
	inGzip := compressWith(t, plain, func(out io.Writer) io.WriteCloser { return gzip.NewWriter(out) })
	inZstd := compressWith(t, plain, func(out io.Writer) io.WriteCloser {
		w, _ := zstd.NewWriter(out)
		return w
	})
	for name, test := range map[string]struct {
		content []byte
		format  compression.Format
		want    types.MediaType
		kept    bool
	}{
		"plain as zstd":       {plain, compression.Zstd, types.OCILayerZStd, false},
		"plain as gzip":       {plain, compression.Gzip, types.OCILayer, false},
		"gzip stays, zstd":    {inGzip, compression.Zstd, types.OCILayer, true},
		"gzip stays, gzip":    {inGzip, compression.Gzip, types.OCILayer, true},
		"zstd stays":          {inZstd, compression.Zstd, types.OCILayerZStd, true},
		"zstd where not read": {inZstd, compression.Gzip, types.OCILayer, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := WriteLayer(bytes.NewReader(test.content), t.TempDir(), compression.NewPool(t.Context(), test.format))
			if err != nil {
				t.Fatal(err)
			}
			described, err := l.Descriptor()
			if err != nil {
				t.Fatal(err)
			}
			diffID, size, _ := v1.SHA256(bytes.NewReader(plain))
			digest, _, _ := v1.SHA256(bytes.NewReader(test.content))
			if described.MediaType != test.want || l.diffID != diffID || (described.Digest == digest) != test.kept {
				t.Errorf("%s, digest %s, diff ID %s; want %s, kept: %t, %s", described.MediaType, described.Digest, l.diffID,
					test.want, test.kept, diffID)
			}
			if got := described.Annotations[imagelabel.UncompressedBytes]; got != strconv.FormatInt(size, 10) {
				t.Errorf("noted %q bytes, want %d", got, size)
			}
		})
	}
}

// TestZstdIsDecompressedForAnArchive is for engines whose archives know gzip only.
func TestZstdIsDecompressedForAnArchive(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	plain := make([]byte, 100_000)
	for i := range plain {
		plain[i] = byte(random.IntN(5))
	}
	l, err := WriteLayer(bytes.NewReader(plain), t.TempDir(), compression.NewPool(t.Context(), compression.Zstd))
	if err != nil {
		t.Fatal(err)
	}
	core, err := partial.CompressedToLayer(l)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, core)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := Readable{image}.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(content)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("an engine reads %d bytes, %v; want the layer without its compression", len(got), err)
	}
	if size, err := layers[0].Size(); err != nil || size != int64(len(plain)) {
		t.Errorf("size %d, %v", size, err)
	}
}

func TestDecompressReadsEachCompression(t *testing.T) {
	plain := bytes.Repeat([]byte("a file\n"), 10_000)
	for name, content := range map[string][]byte{
		"none": plain, "empty": {},
		"gzip": compressWith(t, plain, func(out io.Writer) io.WriteCloser { return gzip.NewWriter(out) }),
		"zstd": compressWith(t, plain, func(out io.Writer) io.WriteCloser {
			w, _ := zstd.NewWriter(out)
			return w
		}),
	} {
		reader, err := Decompress(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(reader)
		if want := len(content) > 0; err != nil || bytes.Equal(got, plain) != want || reader.Close() != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
