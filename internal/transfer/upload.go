package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/registrylogin"
)

const (
	// uploadTries is how often a blob is tried at most without getting further, and uploadPause the pause before the
	// second of these tries.
	uploadTries = 6
	uploadPause = time.Second
	// partBytes is ECR's part. A request sends a multiple of it, so that the end of a request is the end of a part:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
	partBytes = 10 << 20
	// chunkBytes is how much of a blob one request sends at most. Over a fast line the pauses between requests do not
	// count then.
	chunkBytes = 8 * partBytes
	// stallTimeout limits the time in which the connection takes no byte of a blob, or answers nothing to the last one.
	stallTimeout = 2 * time.Minute
	// answerTimeout limits the time of a request that sends no bytes of a blob. The longest is the last one of a large
	// blob, whose digest the registry computes; if that takes longer, the next try finds the blob.
	answerTimeout = 5 * time.Minute
)

// Upload uploads blobs to a repository, except those that it already has, the smallest first. A large blob is sent in
// chunks. After a broken connection, and after an answer that a later try may change (408, 429, 5xx), a blob goes on at
// the byte that the registry has, if the registry still knows the upload, or otherwise at its first byte. It is tried
// up to six times without getting further, with pauses of 1, 2, 4, 8 and 16 seconds, and starts at the first byte up to
// six times. Every other answer ends the upload at once. Upload returns with the first blob that fails, or as soon as
// ctx ends.
//
// If auth is a registrylogin.Login, the password may be replaced meanwhile: uploads that were begun with the old one
// go on with the new one. After a refusal of a password that worked before, a blob waits for the next password, for as
// long as ctx lasts.
//
// progress is called with bytes, one call at a time, and may be nil. A broken connection takes bytes back that the
// registry does not have: done may fall. Upload returns the size of all blobs in bytes, those that the repository had
// included.
func Upload(
	ctx context.Context, repository name.Repository, auth authn.Authenticator, blobs []v1.Layer,
	progress func(done, total int64),
) (bytes int64, err error) {
	sending := newUpload(repository, auth, progress)
	err = sending.run(ctx, blobs)
	return sending.meter.total, err
}

// upload is one call of Upload. Its meter counts the bytes of all blobs; those of a blob that the repository has count
// at once.
type upload struct {
	repository name.Repository
	auth       authn.Authenticator
	// pause is the pause before the second try. It doubles before each further try.
	pause time.Duration
	// part is the least that a request sends of a blob, and chunk the most.
	part, chunk int64
	stall       time.Duration
	// answer limits the time of a request without a body.
	answer time.Duration
	meter  meter
	sent   atomic.Int64 // bytes, those that are sent again included
	// worked is set when the registry has accepted the password for an upload.
	worked atomic.Bool

	connecting sync.Mutex
	client     *http.Client // nil until the registry has answered

	mu      sync.Mutex
	began   time.Time
	running map[*blobUpload]bool
	ended   chan struct{} // has a value when a blob has ended
}

func newUpload(repository name.Repository, auth authn.Authenticator, progress func(done, total int64)) *upload {
	return &upload{
		repository: repository, auth: auth, pause: uploadPause, part: partBytes, chunk: chunkBytes, stall: stallTimeout,
		answer: answerTimeout,
		meter:  meter{progress: progress}, running: map[*blobUpload]bool{}, ended: make(chan struct{}, 1),
	}
}

// run uploads all blobs, or returns the first error that a retry does not help.
func (u *upload) run(ctx context.Context, blobs []v1.Layer) error {
	queue, err := u.queue(blobs)
	if err != nil {
		return fmt.Errorf("upload image: %w", err)
	}
	u.began = time.Now()
	group, all := errgroup.WithContext(ctx)
	for _, next := range queue {
		if !u.admit(all, next) {
			break
		}
		group.Go(func() error {
			defer u.leave(next)
			return next.run(all)
		})
	}
	err = group.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("upload image: %w", err)
	}
	return nil
}

// queue returns the blobs in the order of their uploads. Blobs that are complete stay, even if the upload ends before
// its time, so the smallest is the first.
func (u *upload) queue(blobs []v1.Layer) ([]*blobUpload, error) {
	queue := make([]*blobUpload, 0, len(blobs))
	for _, blob := range blobs {
		next, err := newBlobUpload(u, blob)
		if err != nil {
			return nil, err
		}
		u.meter.total += next.size
		queue = append(queue, next)
	}
	slices.SortStableFunc(queue, func(a, b *blobUpload) int { return cmp.Compare(a.size, b.size) })
	return queue, nil
}

// admit waits until a blob may be uploaded beside the others. It returns false if ctx ended.
func (u *upload) admit(ctx context.Context, next *blobUpload) bool {
	ticker := time.NewTicker(time.Second) // the speed of the line changes
	defer ticker.Stop()
	for {
		u.mu.Lock()
		now := u.pace()
		admitted := ctx.Err() == nil && now.admits(next.size)
		if admitted {
			u.running[next] = true
		}
		u.mu.Unlock()
		if admitted {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-u.ended:
		case <-ticker.C:
		}
	}
}

// pace returns how the upload is doing. The caller holds the lock.
func (u *upload) pace() pace {
	now := pace{running: len(u.running), sent: u.sent.Load(), elapsed: time.Since(u.began)}
	for other := range u.running {
		now.left += other.left()
	}
	return now
}

// nextChunk returns how much of a blob the next request sends.
func (u *upload) nextChunk() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pace().chunk(u.part, u.chunk)
}

func (u *upload) leave(blob *blobUpload) {
	u.mu.Lock()
	delete(u.running, blob)
	u.mu.Unlock()
	select {
	case u.ended <- struct{}{}:
	default:
	}
}

// password returns the password that the next request has, if it may be replaced.
func (u *upload) password() string {
	login, renewable := u.auth.(*registrylogin.Login)
	if !renewable {
		return ""
	}
	_, password := login.Current()
	return password
}

// awaitPassword waits for another password than the refused one.
func (u *upload) awaitPassword(ctx context.Context, refused string) error {
	login, renewable := u.auth.(*registrylogin.Login)
	if !renewable {
		return errors.New("the password is not replaced")
	}
	return login.Await(ctx, refused)
}

// connect returns a client that authenticates to the registry. Trying again is left to blobUpload.run: the client
// sends each request once, or twice where a password was replaced.
func (u *upload) connect(ctx context.Context) (*http.Client, error) {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	if u.client != nil {
		return u.client, nil
	}
	authenticated, err := transport.NewWithContext(
		ctx, u.repository.Registry, u.auth, registrylogin.Through(u.auth, remote.DefaultTransport),
		[]string{u.repository.Scope(transport.PushScope)},
	)
	if err != nil {
		return nil, err
	}
	u.client = &http.Client{Transport: authenticated, CheckRedirect: u.checkRedirect}
	return u.client, nil
}

// checkRedirect lets reads follow a registry elsewhere, as any client does, and an upload nowhere else.
func (u *upload) checkRedirect(next *http.Request, via []*http.Request) error {
	const most = 10 // as http.Client has by default
	if len(via) >= most {
		return fmt.Errorf("the registry redirects more than %d times", most)
	}
	first := via[0].Method
	if first != http.MethodHead && first != http.MethodGet && !registrylogin.IsAt(u.repository.RegistryStr(), next.URL) {
		return errElsewhere
	}
	return nil
}
