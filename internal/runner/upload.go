package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// uploads is how many blobs are uploaded at once, and uploadTries how often each is tried.
const (
	uploads     = 4
	uploadTries = 5
)

// upload puts blobs into a repository, those that it has already left out, and tells how many bytes are done.
type upload struct {
	repository name.Repository
	auth       authn.Authenticator
	// pause before the second try; it doubles with each further one.
	pause    time.Duration
	progress func(done, total int64)
	done     atomic.Int64
	total    int64
}

// run uploads all blobs, or returns the first error that trying again does not help.
func (u *upload) run(ctx context.Context, blobs []v1.Layer) error {
	for _, blob := range blobs {
		size, err := blob.Size()
		if err != nil {
			return fmt.Errorf("upload image: %w", err)
		}
		u.total += size
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for _, blob := range blobs {
		group.Go(func() error { return u.blob(ctx, blob) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("upload image: %w", err)
	}
	return nil
}

func (u *upload) blob(ctx context.Context, blob v1.Layer) error {
	metered := &meteredLayer{Layer: blob, upload: u}
	pause := u.pause
	for try := 1; ; try++ {
		err := remote.WriteLayer(u.repository, metered, remote.WithContext(ctx), remote.WithAuth(u.auth))
		if err == nil {
			return metered.complete()
		}
		if ctx.Err() != nil || try == uploadTries || !uploadAgain(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// uploadAgain says whether another try may succeed: not if the registry said what is wrong with this one.
func uploadAgain(err error) bool {
	var answered *transport.Error
	if !errors.As(err, &answered) {
		return true
	}
	switch answered.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return answered.StatusCode >= http.StatusInternalServerError
}

// meteredLayer counts the bytes of a layer that are read for an upload.
type meteredLayer struct {
	v1.Layer
	upload *upload
	read   int64
}

// Compressed begins at the first byte again: what an earlier try had sent no longer counts.
func (l *meteredLayer) Compressed() (io.ReadCloser, error) {
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	l.count(-l.read)
	return &meteredReader{ReadCloser: content, layer: l}, nil
}

func (l *meteredLayer) count(bytes int64) {
	l.read += bytes
	done := l.upload.done.Add(bytes)
	if l.upload.progress != nil {
		l.upload.progress(done, l.upload.total)
	}
}

// complete counts what the repository had already.
func (l *meteredLayer) complete() error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	l.count(size - l.read)
	return nil
}

type meteredReader struct {
	io.ReadCloser
	layer *meteredLayer
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.layer.count(int64(n))
	return n, err
}
