package outgoing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"imagecache.dev/internal/layerrecord"
)

// storedBlob is a compressed blob in the engine's store.
type storedBlob struct {
	engine         *Engine
	ctx            context.Context
	digest, diffID v1.Hash
	size           int64
	mediaType      string
	// proved: the content was compared with the diff ID, and is plainSize bytes without compression.
	proved    atomic.Bool
	plainSize atomic.Int64
}

// prove reads a blob that nobody has read.
func (b *storedBlob) prove() error {
	if b.proved.Load() {
		return nil
	}
	content := b.start()
	_, err := io.Copy(io.Discard, content)
	if err == nil {
		<-content.ended // the digest is compared after the last byte
		if !b.proved.Load() {
			err = errNotSent
		}
	}
	return errors.Join(err, content.Close())
}

// open lets the engine push this one blob, and hands it on as it comes.
func (b *storedBlob) open() (io.ReadCloser, error) { return b.start(), nil }

func (b *storedBlob) start() *opened {
	ctx, cancel := context.WithCancel(b.ctx)
	content, pipe := io.Pipe()
	r := &opened{PipeReader: content, cancel: cancel, ended: make(chan struct{})}
	owner := &passing{storedBlob: b, pipe: pipe}
	go func() {
		defer close(r.ended)
		_, err := b.engine.push(ctx, Description, owner)
		if err == nil {
			err = errNotSent // unless the blob has ended the pipe
		}
		_ = pipe.CloseWithError(err)
	}()
	return r
}

// opened is a blob that is being read.
type opened struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  chan struct{}
}

// Close ends the push, and waits until it has ended.
func (o *opened) Close() error {
	err := o.PipeReader.Close()
	o.cancel()
	<-o.ended
	return err
}

// passing wants one blob, and passes it on.
type passing struct {
	*storedBlob
	pipe *io.PipeWriter
}

func (p *passing) Has(digest v1.Hash) (int64, bool) { return 0, digest != p.digest }

// Take compares the blob with its diff ID while it passes. Only a blob that is right ends well.
func (p *passing) Take(content io.Reader) (any, error) {
	plainSize, err := p.pass(p.pipe, content)
	_ = p.pipe.CloseWithError(err)
	return plainSize, err
}

func (p *passing) Took(digest v1.Hash, blob any) {
	if plainSize, ok := blob.(int64); ok && digest == p.digest {
		p.plainSize.Store(plainSize)
		p.proved.Store(true)
	}
}

// pass copies the blob, and fails if its diff ID is another one. Its digest is compared by the registry on loopback, and by
// the one that it is uploaded to.
func (b *storedBlob) pass(out io.Writer, content io.Reader) (plainSize int64, err error) {
	plain := sha256.New()
	packed, inflating := io.Pipe()
	inflated := make(chan error, 1)
	go func() {
		reader, err := decompress(packed, b.mediaType)
		if err == nil {
			plainSize, err = io.Copy(plain, reader)
			_ = reader.Close()
		}
		if err == nil {
			_, err = io.Copy(io.Discard, packed) // what is after the end of the compressed stream
		}
		_ = packed.CloseWithError(err) // fails the copy below, unless it has ended
		inflated <- err
	}()
	_, err = io.Copy(io.MultiWriter(out, inflating), content)
	_ = inflating.CloseWithError(err)
	if inflateErr := <-inflated; err == nil {
		err = inflateErr
	}
	if err != nil {
		return 0, fmt.Errorf("pass layer on: %w", err)
	}
	if got := hex.EncodeToString(plain.Sum(nil)); got != b.diffID.Hex {
		return 0, fmt.Errorf(
			"pass layer on: the engine's blob %s is layer sha256:%s, the configuration says %s", b.digest, got, b.diffID,
		)
	}
	return plainSize, nil
}

func decompress(packed io.Reader, mediaType string) (io.ReadCloser, error) {
	if types.MediaType(mediaType) != types.OCILayerZStd {
		return gzip.NewReader(packed)
	}
	plain, err := zstd.NewReader(packed)
	if err != nil {
		return nil, err
	}
	return plain.IOReadCloser(), nil
}

// writtenAgain is a layer of which the record has a blob that the registry does not have any more.
type writtenAgain struct {
	engine *Engine
	ctx    context.Context
	layer  layerrecord.Layer

	mu      sync.Mutex
	written *Written
}

// open lets the engine push the layer, and writes it once more. It must come out as it did before: the blob's digest was
// reported.
func (w *writtenAgain) open() (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil {
		var err error
		if w.written, err = w.write(); err != nil {
			return nil, err
		}
	}
	return w.written.Open()
}

func (w *writtenAgain) write() (*Written, error) {
	only := &collector{write: w.engine.Write, has: func(digest v1.Hash) bool { return digest != w.layer.Pushed }}
	if _, err := w.engine.push(w.ctx, Layers, only); err != nil {
		return nil, err
	}
	for _, got := range only.written {
		if got.DiffID == w.layer.DiffID && got.Digest == w.layer.Digest {
			return got, nil
		}
	}
	err := fmt.Errorf("layer %s did not come out as blob %s again", w.layer.DiffID, w.layer.Digest)
	return nil, errors.Join(err, w.engine.Record.Drop(w.ctx, w.layer.DiffID))
}
