package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// uploads is how many blobs are uploaded concurrently, and uploadTries how often each upload is tried.
const (
	uploads     = 4
	uploadTries = 5
)

// Upload uploads blobs to a repository, except those that it already has.
func Upload(ctx context.Context, repository name.Repository, auth authn.Authenticator, blobs []v1.Layer) error {
	sending := &upload{repository: repository, auth: auth, pause: time.Second}
	return sending.run(ctx, blobs)
}

// upload uploads blobs to a repository, except those that it already has, and reports the progress in bytes.
type upload struct {
	repository name.Repository
	auth       authn.Authenticator
	// pause is the pause before the second try. It doubles before each further try.
	pause time.Duration
	meter meter
}

// run uploads all blobs, or returns the first error that a retry does not help.
func (u *upload) run(ctx context.Context, blobs []v1.Layer) error {
	for _, blob := range blobs {
		size, err := blob.Size()
		if err != nil {
			return fmt.Errorf("upload image: %w", err)
		}
		u.meter.total += size
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
	metered := &meteredLayer{Layer: blob, meter: &u.meter}
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

// uploadAgain reports whether a retry may succeed. It can't if the registry named an error of the request.
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
