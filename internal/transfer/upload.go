package transfer

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

const (
	// uploads is how many blobs are uploaded concurrently.
	uploads = 4
	// uploadTries is how often a blob is tried at most, and uploadPause the pause before its second try.
	uploadTries = 6
	uploadPause = time.Second
)

// Upload uploads blobs to a repository, except those that it already has. It tries a blob up to six times, with pauses
// of 1, 2, 4, 8 and 16 seconds, each time from its first byte: after a broken connection and after an answer that a
// later try may change (408, 429, 5xx). Every other answer ends the upload at once. Upload returns with the first
// blob that fails, or as soon as ctx ends.
//
// progress is called with bytes, one call at a time, and may be nil. A failed try takes its bytes back: done may fall.
// Upload returns the size of all blobs in bytes, those that the repository had included.
func Upload(
	ctx context.Context, repository name.Repository, auth authn.Authenticator, blobs []v1.Layer,
	progress func(done, total int64),
) (bytes int64, err error) {
	sending := &upload{repository: repository, auth: auth, pause: uploadPause, meter: meter{progress: progress}}
	err = sending.run(ctx, blobs)
	return sending.meter.total, err
}

// upload is one call of Upload. Its meter counts the bytes of all blobs: those that a failed try sent count until the
// next try begins, and those of a blob that the repository has count at once.
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

// once leaves trying again to upload.blob. Otherwise go-containerregistry would try each request and each blob three
// times within each of our tries.
var once = remote.WithRetryPredicate(func(error) bool { return false })

func (u *upload) blob(ctx context.Context, blob v1.Layer) error {
	metered := &meteredLayer{Layer: blob, meter: &u.meter}
	pause := u.pause
	for try := 1; ; try++ {
		err := remote.WriteLayer(u.repository, metered, remote.WithContext(ctx), remote.WithAuth(u.auth), once)
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
