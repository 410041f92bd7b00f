package intake

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"cuelabs.dev/go/oci/ociregistry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// errAborted ends what takes a blob that the client does not finish.
var errAborted = errors.New("the push ended before the blob did")

// upload is a blob that is being pushed. Its client writes one request after the other.
type upload struct {
	intake *Intake
	id     string
	size   int64
	sum    hash.Hash

	opened sync.Once
	pipe   *io.PipeWriter // to the owner, once it is open
	taken  chan struct{}  // closed when the owner has returned, after blob and err are set
	blob   any
	err    error
}

var _ ociregistry.BlobWriter = (*upload)(nil)

func (i *Intake) begin(repo string) (ociregistry.BlobWriter, error) {
	if repo != repository {
		return nil, ociregistry.ErrNameUnknown
	}
	u := &upload{intake: i, id: rand.Text(), sum: sha256.New(), taken: make(chan struct{})}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.uploads[u.id] = u
	return u, nil
}

// resume continues an upload. An offset below zero continues where it is.
func (i *Intake) resume(id string, offset int64) (ociregistry.BlobWriter, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	u := i.uploads[id]
	if u == nil {
		return nil, ociregistry.ErrBlobUploadUnknown
	}
	// The server takes a request without an offset for one at the beginning, and the last request often has none.
	if offset > 0 && offset != u.size {
		return nil, fmt.Errorf("%w: the upload is at byte %d", ociregistry.ErrRangeInvalid, u.size)
	}
	return u, nil
}

func (u *upload) Write(p []byte) (int, error) {
	u.opened.Do(u.open)
	n, err := u.pipe.Write(p)
	u.size += int64(n)
	u.sum.Write(p[:n])
	return n, err
}

// open hands what follows to the owner.
func (u *upload) open() {
	content, pipe := io.Pipe()
	u.pipe = pipe
	go func() {
		defer close(u.taken)
		u.blob, u.err = u.intake.owner.Take(content)
		if u.err == nil {
			_, u.err = io.Copy(io.Discard, content) // what is after the end of a compressed stream
		}
		_ = content.CloseWithError(errors.Join(u.err, errAborted)) // fails a writer that goes on
	}()
}

// Commit ends the blob, and waits until the owner has it.
func (u *upload) Commit(digest ociregistry.Digest) (ociregistry.Descriptor, error) {
	u.forget()
	want, err := v1.NewHash(string(digest))
	if err != nil {
		u.abort()
		return ociregistry.Descriptor{}, ociregistry.ErrDigestInvalid
	}
	u.opened.Do(u.open)
	if got := hex.EncodeToString(u.sum.Sum(nil)); want.Algorithm != "sha256" || got != want.Hex {
		u.abort()
		return ociregistry.Descriptor{}, ociregistry.ErrDigestInvalid
	}
	_ = u.pipe.Close()
	<-u.taken
	if u.err != nil {
		return ociregistry.Descriptor{}, fmt.Errorf("take blob %s: %w", digest, u.err)
	}
	u.intake.owner.Took(want, u.blob)
	return ociregistry.Descriptor{MediaType: "application/octet-stream", Digest: digest, Size: u.size}, nil
}

// abort ends the owner's part of an upload that is not finished, and waits for it.
func (u *upload) abort() {
	u.opened.Do(func() { close(u.taken) })
	if u.pipe != nil {
		_ = u.pipe.CloseWithError(errAborted)
	}
	<-u.taken
}

func (u *upload) forget() {
	u.intake.mu.Lock()
	defer u.intake.mu.Unlock()
	delete(u.intake.uploads, u.id)
}

// Cancel gives the blob up.
func (u *upload) Cancel() error {
	u.forget()
	u.abort()
	return nil
}

// Close ends a request, not the upload.
func (u *upload) Close() error   { return nil }
func (u *upload) Size() int64    { return u.size }
func (u *upload) ChunkSize() int { return 0 }
func (u *upload) ID() string     { return u.id }
