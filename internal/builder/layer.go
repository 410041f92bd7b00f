package builder

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// layer is a compressed layer in a file.
type layer struct {
	path   string
	digest v1.Hash
	diffID v1.Hash
	size   int64
}

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return os.Open(l.path) }

// Magic numbers: https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1,
// https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// writeLayer writes a layer, compressed or not, as a gzip file into dir.
// One that is gzip already stays as it is.
func writeLayer(content io.Reader, dir string) (_ *layer, err error) {
	file, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	compressed, diff := sha256.New(), sha256.New()
	counted := &counter{Writer: io.MultiWriter(file, compressed)}
	buffered := bufio.NewReaderSize(content, 256<<10)
	magic, _ := buffered.Peek(4)
	switch {
	case len(magic) >= 2 && string(magic[:2]) == gzipMagic:
		err = keepLayer(buffered, counted, diff)
	case string(magic) == zstdMagic:
		var plain *zstd.Decoder
		if plain, err = zstd.NewReader(buffered); err == nil {
			err = compressLayer(plain, counted, diff)
			plain.Close()
		}
	default:
		err = compressLayer(buffered, counted, diff)
	}
	if err != nil {
		return nil, err
	}
	l := &layer{digest: sumOf(compressed), diffID: sumOf(diff), size: counted.written}
	l.path = filepath.Join(dir, l.digest.Hex)
	return l, os.Rename(file.Name(), l.path)
}

func compressLayer(plain io.Reader, out io.Writer, diff hash.Hash) error {
	compressor := newGzipWriter(out, runtime.GOMAXPROCS(0))
	_, err := io.Copy(io.MultiWriter(diff, compressor), plain)
	if closeErr := compressor.Close(); err == nil {
		err = closeErr
	}
	return err
}

// keepLayer copies a compressed layer, and decompresses it for its diff ID alone.
func keepLayer(compressed io.Reader, out io.Writer, diff hash.Hash) error {
	copied := io.TeeReader(compressed, out)
	plain, err := gzip.NewReader(copied)
	if err != nil {
		return fmt.Errorf("decompress layer: %w", err)
	}
	if _, err := io.Copy(diff, plain); err != nil {
		return fmt.Errorf("decompress layer: %w", err)
	}
	_, err = io.Copy(io.Discard, copied)
	return err
}

func sumOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

type counter struct {
	io.Writer
	written int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.written += int64(n)
	return n, err
}
