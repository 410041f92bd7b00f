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
	"github.com/klauspost/compress/gzip"

	"imagecache.dev/internal/layerrecord"
)

// storedBlob is a compressed blob in the engine's store.
type storedBlob struct {
	engine         *Engine
	ctx            context.Context
	digest, diffID v1.Hash
	size           int64
	// proved: the content was compared with the diff ID.
	proved atomic.Bool
}

// prove reads a blob that nobody has read.
func (b *storedBlob) prove() error {
	if b.proved.Load() {
		return nil
	}
	content, err := b.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, content)
	return errors.Join(err, content.Close())
}

// open lets the engine push this one blob, and hands it on as it comes.
func (b *storedBlob) open() (io.ReadCloser, error) {
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
	return r, nil
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
	err := passVerified(p.pipe, content, p.digest, p.diffID)
	if err == nil {
		p.proved.Store(true)
	}
	_ = p.pipe.CloseWithError(err)
	return nil, err
}

func (p *passing) Took(v1.Hash, any) {}

// passVerified copies a gzip blob, and fails if its digest or its diff ID is another one.
func passVerified(out io.Writer, content io.Reader, digest, diffID v1.Hash) error {
	plain := sha256.New()
	packed, inflating := io.Pipe()
	inflated := make(chan error, 1)
	go func() {
		reader, err := gzip.NewReader(packed)
		if err == nil {
			_, err = io.Copy(plain, reader)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, packed) // what is after the end of the compressed stream
		}
		_ = packed.CloseWithError(err) // fails the copy below, unless it has ended
		inflated <- err
	}()
	sum := sha256.New()
	_, err := io.Copy(io.MultiWriter(out, sum, inflating), content)
	_ = inflating.CloseWithError(err)
	if inflateErr := <-inflated; err == nil {
		err = inflateErr
	}
	if err != nil {
		return fmt.Errorf("pass layer on: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest.Hex {
		return fmt.Errorf("pass layer on: it is sha256:%s, want %s", got, digest)
	}
	if got := hex.EncodeToString(plain.Sum(nil)); got != diffID.Hex {
		return fmt.Errorf("pass layer on: the engine's blob %s is layer sha256:%s, the configuration says %s", digest, got, diffID)
	}
	return nil
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
