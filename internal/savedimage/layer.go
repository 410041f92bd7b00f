package savedimage

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

// Layer is a compressed layer, in a file or where open finds it.
type Layer struct {
	path   string
	digest v1.Hash
	diffID v1.Hash
	size   int64
	format compression.Format
	plain  int64                         // size when it is decompressed, 0 if that is not known
	open   func() (io.ReadCloser, error) // of a layer that is not in a file
}

// Content describes a layer that is not in a file. Open opens it, compressed; PlainSize is its size when it is
// decompressed, 0 if that is not known.
type Content struct {
	Digest, DiffID  v1.Hash
	Size, PlainSize int64
	Format          compression.Format
	Open            func() (io.ReadCloser, error)
}

// NewLayer returns a layer that is not in a file.
func NewLayer(c Content) *Layer {
	return &Layer{digest: c.Digest, diffID: c.DiffID, size: c.Size, plain: c.PlainSize, format: c.Format, open: c.Open}
}

// Content describes the layer.
func (l *Layer) Content() Content {
	return Content{
		Digest: l.digest, DiffID: l.diffID, Size: l.size, PlainSize: l.plain, Format: l.format, Open: l.Compressed,
	}
}

// Digest is the digest of the layer's blob.
func (l *Layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the digest of the layer without its compression.
func (l *Layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is the size of the blob in bytes.
func (l *Layer) Size() (int64, error) { return l.size, nil }

// Compressed opens the blob.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	if l.open != nil {
		return l.open()
	}
	return os.Open(l.path)
}

// MediaType is the type of the blob in an OCI manifest.
func (l *Layer) MediaType() (types.MediaType, error) {
	if l.format == compression.Zstd {
		return types.OCILayerZStd, nil
	}
	return types.OCILayer, nil
}

// Descriptor describes the layer in a manifest.
func (l *Layer) Descriptor() (*v1.Descriptor, error) {
	mediaType, err := l.MediaType()
	if err != nil {
		return nil, err
	}
	described := &v1.Descriptor{MediaType: mediaType, Size: l.size, Digest: l.digest}
	if l.plain > 0 {
		described.Annotations = map[string]string{imagelabel.UncompressedBytes: strconv.FormatInt(l.plain, 10)}
	}
	return described, nil
}

// Magic numbers: https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1,
// https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// layerFile is a layer that is being written as a compressed file.
type layerFile struct {
	file             *os.File
	compressed, diff hash.Hash
	out, plain       *counter
	format           compression.Format
	compressor       *compression.Writer // none for a layer that was compressed already
}

// newLayerFile makes the file of a layer in dir; finish or drop must follow.
func newLayerFile(dir string) (*layerFile, error) {
	file, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	f := &layerFile{file: file, compressed: sha256.New(), diff: sha256.New()}
	f.out = &counter{Writer: io.MultiWriter(file, f.compressed)}
	f.plain = &counter{Writer: f.diff}
	return f, nil
}

// read takes all of a layer, compressed or not. One that is gzip already, or in the pool's format, stays as it is.
func (f *layerFile) read(content io.Reader, pool *compression.Pool) error {
	buffered := bufio.NewReaderSize(content, 256<<10)
	magic, _ := buffered.Peek(4)
	f.format = pool.Format()
	switch {
	case len(magic) >= 2 && string(magic[:2]) == gzipMagic:
		f.format = compression.Gzip
		return f.keep(buffered, func(compressed io.Reader) (io.ReadCloser, error) { return gzip.NewReader(compressed) })
	case string(magic) == zstdMagic && f.format == compression.Zstd:
		return f.keep(buffered, plainZstd)
	case string(magic) == zstdMagic:
		plain, err := plainZstd(buffered)
		if err != nil {
			return err
		}
		defer func() { _ = plain.Close() }()
		return f.compress(plain, pool)
	default:
		return f.compress(buffered, pool)
	}
}

// Decompress returns a layer without its compression: gzip, zstd or none. Close it before the content.
func Decompress(content io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(content, 256<<10)
	magic, _ := buffered.Peek(4)
	switch {
	case len(magic) >= 2 && string(magic[:2]) == gzipMagic:
		return gzip.NewReader(buffered)
	case string(magic) == zstdMagic:
		return plainZstd(buffered)
	}
	return io.NopCloser(buffered), nil
}

func plainZstd(compressed io.Reader) (io.ReadCloser, error) {
	plain, err := zstd.NewReader(compressed)
	if err != nil {
		return nil, err
	}
	return plain.IOReadCloser(), nil
}

func (f *layerFile) compress(plain io.Reader, pool *compression.Pool) error {
	f.compressor = compression.NewWriter(f.out, pool)
	_, err := io.Copy(io.MultiWriter(f.plain, f.compressor), plain)
	return err
}

// keep copies a compressed layer, and decompresses it for its diff ID alone.
func (f *layerFile) keep(compressed io.Reader, decompress func(io.Reader) (io.ReadCloser, error)) error {
	copied := io.TeeReader(compressed, f.out)
	plain, err := decompress(copied)
	if err != nil {
		return fmt.Errorf("decompress layer: %w", err)
	}
	defer func() { _ = plain.Close() }()
	if _, err := io.Copy(f.plain, plain); err != nil {
		return fmt.Errorf("decompress layer: %w", err)
	}
	_, err = io.Copy(io.Discard, copied)
	return err
}

// finish waits until all that was read is written.
func (f *layerFile) finish() (*Layer, error) {
	if f.compressor != nil {
		compressor := f.compressor
		f.compressor = nil
		if err := compressor.Close(); err != nil {
			f.drop()
			return nil, err
		}
	}
	if err := f.file.Close(); err != nil {
		f.drop()
		return nil, err
	}
	l := &Layer{
		digest: sumOf(f.compressed), diffID: sumOf(f.diff), size: f.out.written, format: f.format, plain: f.plain.written,
	}
	l.path = filepath.Join(filepath.Dir(f.file.Name()), l.digest.Hex)
	return l, os.Rename(f.file.Name(), l.path)
}

// drop gives a layer up.
func (f *layerFile) drop() {
	if f.compressor != nil {
		_ = f.compressor.Close()
	}
	_ = f.file.Close()
	_ = os.Remove(f.file.Name())
}

// WriteLayer writes one layer as a compressed file into dir. One that is compressed already, in gzip or in the pool's
// format, stays as it is.
func WriteLayer(content io.Reader, dir string, pool *compression.Pool) (*Layer, error) {
	file, err := newLayerFile(dir)
	if err != nil {
		return nil, err
	}
	if err := file.read(content, pool); err != nil {
		file.drop()
		return nil, err
	}
	return file.finish()
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
