// Package relay lets a container engine pull one image through this process, which counts the bytes.
//
// Engines report the progress of a pull only to a terminal, each in its own way. A relay is a registry on loopback
// with a single image. It holds the manifest, and passes blobs on from their registry when a client requests them, so
// an engine skips the layers that it has. It accepts only one login, which it creates itself, so no other user of the
// machine can read the image, and the engine never gets the registry's own credentials.
package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/internal/dockerconfig"
)

// user is the user name of the relay's login.
const user = "imagecache"

// headerTimeout limits how long a client may take to send a request's headers.
const headerTimeout = 10 * time.Second

// Relay serves one image. Close ends it.
type Relay struct {
	image    name.Digest
	password string
	watch    Watch

	mediaType string
	manifest  []byte
	sizes     map[string]int64 // of the blobs, by digest
	total     int64
	// upstream makes authenticated requests to the image's registry.
	upstream *http.Client

	listener net.Listener
	server   *http.Server
	done     atomic.Int64
	telling  sync.Mutex
	// telling guards what follows, and makes the calls of watch one at a time.
	passed map[string]int64 // bytes of each blob that a client took
	open   int              // transfers of blobs that go on
	idle   *time.Timer      // nil before the first blob
	closed bool
}

// idleAfter is how long no blob is transferred before the pull counts as idle.
const idleAfter = time.Second

// Watch receives how far a pull is, one call at a time: bytes that were passed on, and the total. Its functions may be
// nil. None is called after Close.
type Watch struct {
	// Progress is called when bytes were passed on.
	Progress func(done, total int64)
	// Idle is called once a second while the client takes no bytes between its first blob and Close: it extracts what it
	// has, or waits for another client.
	Idle func(done, total int64)
}

// Start reads the manifest of an image, and serves the image until Close. ctx applies to all requests to the image's
// registry.
func Start(ctx context.Context, image name.Digest, auth authn.Authenticator, watch Watch) (*Relay, error) {
	r := &Relay{image: image, password: rand.Text(), watch: watch, sizes: map[string]int64{}, passed: map[string]int64{}}
	if err := r.read(ctx, auth); err != nil {
		return nil, fmt.Errorf("relay %s: %w", image, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay %s: %w", image, err)
	}
	r.listener = listener
	r.server = &http.Server{
		Handler:           http.HandlerFunc(r.serve),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // engines try TLS first
	}
	go func() { _ = r.server.Serve(listener) }() // ends with Close
	return r, nil
}

// read reads the manifest, and the sizes of the blobs that it names.
func (r *Relay) read(ctx context.Context, auth authn.Authenticator) error {
	repository := r.image.Context()
	authenticated, err := transport.NewWithContext(ctx, repository.Registry, auth,
		transport.NewRetry(remote.DefaultTransport), []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return err
	}
	r.upstream = &http.Client{Transport: authenticated}
	found, err := remote.Get(r.image, remote.WithContext(ctx), remote.WithTransport(authenticated))
	if err != nil {
		return err
	}
	if !found.MediaType.IsImage() {
		return fmt.Errorf("it is not an image but %s", found.MediaType)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	r.mediaType, r.manifest = string(found.MediaType), found.Manifest
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if _, twice := r.sizes[blob.Digest.String()]; !twice {
			r.sizes[blob.Digest.String()] = blob.Size
			r.total += blob.Size
		}
	}
	return nil
}

// Reference returns the image's name for an engine on this machine.
func (r *Relay) Reference() string {
	return fmt.Sprintf("%s/%s@%s", r.listener.Addr(), r.image.Context().RepositoryStr(), r.image.DigestStr())
}

// Manifest returns the image's manifest, whose digest is that of the image. Callers must not change it.
func (r *Relay) Manifest() []byte { return r.manifest }

// DockerConfig returns a Docker configuration with the login.
func (r *Relay) DockerConfig() ([]byte, error) {
	return dockerconfig.Encode(
		dockerconfig.Login{Registry: r.listener.Addr().String(), Username: user, Password: r.password},
	)
}

// Bytes returns how many bytes have been passed on, and how many the image has.
func (r *Relay) Bytes() (done, total int64) { return r.done.Load(), r.total }

// Passed reports whether a client read all bytes of a blob. It is false of a blob that no client requested.
func (r *Relay) Passed(digest string) bool {
	r.telling.Lock()
	defer r.telling.Unlock()
	size, known := r.sizes[digest]
	return known && r.passed[digest] >= size
}

// Close ends the relay and all its transfers.
func (r *Relay) Close() error {
	r.telling.Lock()
	if r.idle != nil {
		r.idle.Stop()
	}
	r.closed = true
	r.telling.Unlock()
	if err := r.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("end relay: %w", err)
	}
	return nil
}
