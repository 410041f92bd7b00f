package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/internal/registrylogin"
)

// blobUpload is the upload of one blob, over all its tries.
type blobUpload struct {
	upload *upload
	layer  v1.Layer
	digest string
	size   int64
	read   atomic.Int64 // how much of the blob counts as sent

	// location is the address of the upload in the registry, empty if there is none. offset is how many bytes the
	// registry has at least.
	location string
	offset   int64
	// broken means that the registry may have more bytes than offset, and resumed that a try went on where another one
	// had ended within a request.
	broken, resumed bool
	// whole means that the registry did not accept the pieces of several tries.
	whole bool

	content  io.ReadCloser // nil, or open at position
	position int64
}

func newBlobUpload(u *upload, layer v1.Layer) (*blobUpload, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	size, err := layer.Size()
	if err != nil {
		return nil, err
	}
	return &blobUpload{upload: u, layer: layer, digest: digest.String(), size: size}, nil
}

// left returns how many bytes are not sent yet.
func (b *blobUpload) left() int64 { return b.size - b.read.Load() }

// count counts bytes that were read for the registry.
func (b *blobUpload) count(bytes int64) {
	b.upload.sent.Add(bytes)
	b.read.Add(bytes)
	b.upload.meter.count(bytes)
}

// has sets how many bytes the registry has.
func (b *blobUpload) has(offset int64) {
	b.offset = offset
	b.upload.meter.count(offset - b.read.Swap(offset))
}

// startOverError is why the next try has to begin at the first byte.
type startOverError struct{ error }

func (e *startOverError) Unwrap() error { return e.error }

// movedError is the registry's answer that it has other bytes than the request assumed.
type movedError struct{ to int64 }

func (e *movedError) Error() string {
	return fmt.Sprintf("the registry has %d bytes of the blob", e.to)
}

// run uploads the blob, in several tries if needed.
func (b *blobUpload) run(ctx context.Context) error {
	defer b.close()
	furthest, pause, startOvers := int64(0), b.upload.pause, 0
	for try := 1; ; try++ {
		password := b.upload.password()
		err := b.once(ctx)
		if err == nil {
			b.has(b.size)
			return nil
		}
		var moved *movedError
		var startOver *startOverError
		switch {
		case errors.As(err, &startOver): // what is sent from now on is progress again
			startOvers++
			furthest = 0
		case b.offset > furthest: // also where the registry knows it better
			furthest, try, pause = b.offset, 1, b.upload.pause
		}
		if ctx.Err() != nil || try >= uploadTries || startOvers >= uploadTries || !b.again(err) {
			return err
		}
		switch {
		case errors.As(err, &moved):
			continue
		case isRefusal(err):
			// Tries don't help before there is another password, and its grant may take a while.
			if awaitErr := b.upload.awaitPassword(ctx, password); awaitErr != nil {
				return err
			}
			try--
			continue
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// isRefusal reports whether the registry refused the password.
func isRefusal(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && registrylogin.IsRefusal(answered.StatusCode)
}

// again reports whether another try may succeed, and prepares it.
func (b *blobUpload) again(err error) bool {
	b.close()
	var startOver *startOverError
	if errors.As(err, &startOver) {
		b.location = ""
		b.broken, b.resumed = false, false
		b.has(0)
		return true
	}
	b.has(b.offset) // the registry may have more, which it tells then
	var answered *transport.Error
	if !errors.As(err, &answered) {
		b.broken = true
		return true
	}
	switch answered.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		b.broken = true
		return true
	}
	if isRefusal(err) {
		_, renewable := b.upload.auth.(*registrylogin.Login)
		return renewable && b.upload.worked.Load()
	}
	b.broken = true
	return answered.StatusCode >= http.StatusInternalServerError
}

// once makes one try: it sends what the registry does not have, and completes the blob.
func (b *blobUpload) once(ctx context.Context) error {
	exists, err := b.exists(ctx)
	if err != nil || exists {
		return err
	}
	if b.broken && b.whole {
		b.location = ""
		b.broken = false
		b.has(0)
	}
	if b.location == "" {
		if err := b.begin(ctx); err != nil {
			return err
		}
	}
	for b.offset < b.size {
		if err := b.send(ctx); err != nil {
			return err
		}
	}
	if err := b.end(); err != nil {
		return err
	}
	return b.complete(ctx)
}

// open opens the blob at the offset. A layer that is not a file is read, and where needed compressed, from its first
// byte again: no byte counts meanwhile.
func (b *blobUpload) open() error {
	if b.content != nil && b.position == b.offset {
		return nil
	}
	b.close()
	content, err := b.layer.Compressed()
	if err != nil {
		return err
	}
	b.content, b.position = content, b.offset
	if seeker, can := content.(io.Seeker); can {
		_, err = seeker.Seek(b.offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, content, b.offset)
	}
	return err
}

// end reads the end of the blob: a source that checks what it gives tells there that something is wrong.
func (b *blobUpload) end() error {
	if b.content == nil {
		return nil
	}
	extra, err := io.Copy(io.Discard, b.content)
	if err == nil && extra > 0 {
		err = fmt.Errorf("the blob has %d bytes more than its %d", extra, b.size)
	}
	return err
}

func (b *blobUpload) close() {
	if b.content != nil {
		_ = b.content.Close()
		b.content = nil
	}
}
