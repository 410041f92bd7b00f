package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"imagecache.dev/internal/compression"
)

// content returns a blob as clients get it, from an offset on. ctx ends it; callers must close it.
func (r *Relay) content(ctx context.Context, place int, offset int64) (io.ReadCloser, error) {
	wanted := r.offer.blobs[place]
	if wanted.format == "" && offset > 0 {
		return r.stream(ctx, place, offset), nil
	}
	stream := r.ahead.take(ctx, place)
	if wanted.format == "" {
		return stream, nil
	}
	checked := &checked{Reader: stream, hash: sha256.New(), want: wanted.published.Digest.Hex}
	plain, err := compression.NewReader(ctx, checked, wanted.format)
	if err != nil {
		_ = stream.Close()
		return nil, fmt.Errorf("decompress layer %s: %w", wanted.published.Digest, err)
	}
	content := &plainLayer{
		Reader: io.LimitReader(plain, wanted.served.Size), plain: plain, compressed: checked, stream: stream,
		left: wanted.served.Size,
	}
	if _, err := io.CopyN(io.Discard, content, offset); err != nil {
		_ = content.Close()
		return nil, fmt.Errorf("decompress layer %s: %w", wanted.published.Digest, err)
	}
	return content, nil
}

// checked computes the digest of what is read.
type checked struct {
	io.Reader
	hash hash.Hash
	want string // hex
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	_, _ = c.hash.Write(p[:n])
	return n, err
}

// plainLayer is a layer without its compression. With its last bytes it returns an error if the compressed layer is not
// the published one, or has another size than was noted. The client compares the digest of what it gets.
type plainLayer struct {
	io.Reader
	plain, stream io.ReadCloser
	compressed    *checked
	left          int64
}

func (l *plainLayer) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.Reader.Read(p)
	l.left -= int64(n)
	switch {
	case l.left == 0:
		if err := l.verify(); err != nil {
			return 0, err
		}
		return n, nil
	case errors.Is(err, io.EOF):
		return n, errors.New("the layer is smaller than was noted")
	}
	return n, err
}

// verify reads the end of the compressed layer and compares its digest.
func (l *plainLayer) verify() error {
	n, err := io.ReadFull(l.plain, make([]byte, 1))
	if n > 0 {
		return errors.New("the layer is larger than was noted")
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := io.Copy(io.Discard, l.compressed); err != nil {
		return err
	}
	if got := hex.EncodeToString(l.compressed.hash.Sum(nil)); got != l.compressed.want {
		return fmt.Errorf("the layer's digest is sha256:%s, not sha256:%s", got, l.compressed.want)
	}
	return nil
}

func (l *plainLayer) Close() error { return errors.Join(l.plain.Close(), l.stream.Close()) }
