// Package relay lets a container engine pull one image through this process, which makes that faster and counts the
// bytes.
//
// Engines read each layer over one connection, and they report the progress of a pull only to a terminal, each in its
// own way. A relay is a registry on loopback with a single image. It reads blobs in several ranges at once, ahead of
// the engine, and hands layers out without their compression where the engine needs it. It reads only what a client
// requests, and what follows it, so an engine skips the layers that it has. It accepts only one login, which it
// creates itself, so no other user of the machine can read the image, and the engine never gets the registry's own
// credentials.
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
	"imagecache.dev/internal/ranges"
	"imagecache.dev/internal/registrylogin"
)

// user is the user name of the relay's login.
const user = "imagecache"

// headerTimeout limits how long a client may take to send a request's headers.
const headerTimeout = 10 * time.Second

// maxConfigBytes limits the configuration that the relay reads. Published ones are much smaller.
const maxConfigBytes = 1 << 20

// Relay serves one image. Close ends it.
type Relay struct {
	image    name.Digest
	password string
	watch    Watch

	manifest []byte // as its registry has it
	held     int    // how many of the lowest layers the client has
	offer    *offer
	digest   v1.Hash        // of the offered manifest
	places   map[string]int // of the blobs in the offer, by the digests that clients know
	total    int64
	source   *ranges.Source
	ahead    ahead
	slots    chan struct{} // bounds the blobs that clients read at once

	listener net.Listener
	server   *http.Server
	done     atomic.Int64
	telling  sync.Mutex
	// telling guards what follows, and makes the calls of watch one at a time.
	passed map[string]int64 // bytes of each blob that a client took, by the digest that it knows
	open   int              // transfers of blobs that go on
	idle   *time.Timer      // nil before the first blob
	closed bool
}

// idleAfter is how long no blob is transferred before the pull counts as idle.
const idleAfter = time.Second

// Watch receives how far a pull is, one call at a time: bytes of the published image that were passed on, and the
// total. Its functions may be nil. None is called after Close.
type Watch struct {
	// Progress is called when bytes were passed on.
	Progress func(done, total int64)
	// Idle is called once a second while the client takes no bytes between its first blob and Close: it extracts what it
	// has, or waits for another client.
	Idle func(done, total int64)
	// Failed is called when a client that waits gets no byte of a blob, because the registry does not hand it out. The
	// relay has requested it several times by then, unless the registry's answer was final.
	Failed func(err error)
}

// Start reads the manifest of an image, and serves the image to an engine until Close. ctx applies to all requests to
// the image's registry. If auth is a registrylogin.Login, its password may be replaced meanwhile.
func Start(
	ctx context.Context, image name.Digest, auth authn.Authenticator, client Client, watch Watch,
) (*Relay, error) {
	r := &Relay{
		image: image, password: rand.Text(), watch: watch, places: map[string]int{}, passed: map[string]int64{},
		slots: make(chan struct{}, maxTransfers),
	}
	if err := r.read(ctx, auth, client); err != nil {
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

// read reads the manifest, and decides what clients get.
func (r *Relay) read(ctx context.Context, auth authn.Authenticator, client Client) error {
	repository := r.image.Context()
	base := transport.NewRetry(registrylogin.Through(auth, remote.DefaultTransport))
	authenticated, err := transport.NewWithContext(
		ctx, repository.Registry, auth, base, []string{repository.Scope(transport.PullScope)},
	)
	if err != nil {
		return err
	}
	r.source = ranges.NewSource(repository, &http.Client{Transport: authenticated})
	found, err := remote.Get(r.image, remote.WithContext(ctx), remote.WithTransport(authenticated))
	if err != nil {
		return err
	}
	if !found.MediaType.IsImage() {
		return fmt.Errorf("it is not an image but %s", found.MediaType)
	}
	r.manifest = found.Manifest
	manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if manifest.MediaType == "" {
		manifest.MediaType = found.MediaType
	}
	diffIDs, err := r.readDiffIDs(ctx, manifest, client)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	r.held = client.holds(ctx, diffIDs)
	if r.offer, err = plan(found.Manifest, manifest, diffIDs, client, r.held); err != nil {
		return err
	}
	if r.digest, _, err = v1.SHA256(bytes.NewReader(r.offer.manifest)); err != nil {
		return err
	}
	for place, blob := range r.offer.blobs {
		if _, twice := r.places[blob.served.Digest.String()]; !twice {
			r.places[blob.served.Digest.String()] = place
			r.total += blob.published.Size
		}
	}
	r.ahead = ahead{ctx: ctx, relay: r, waiting: map[int]*ranges.Stream{}, asked: map[int]bool{}}
	return nil
}

// readDiffIDs reads the diff IDs of the layers, if the engine may get layers by them. It returns none if the
// configuration is of an image with other layers.
func (r *Relay) readDiffIDs(ctx context.Context, manifest *v1.Manifest, client Client) ([]v1.Hash, error) {
	if !client.needsDiffIDs() {
		return nil, nil
	}
	content, err := r.readConfig(ctx, manifest.Config)
	if err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(content))
	if err != nil || len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, err
	}
	return config.RootFS.DiffIDs, nil
}

// readConfig reads the image's configuration, and compares its digest with the manifest's.
func (r *Relay) readConfig(ctx context.Context, config v1.Descriptor) ([]byte, error) {
	if config.Size > maxConfigBytes {
		return nil, fmt.Errorf("it has %d bytes; the limit is %d", config.Size, maxConfigBytes)
	}
	stream := r.source.Stream(ctx, config.Digest.String(), 0, config.Size)
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	if digest, _, err := v1.SHA256(bytes.NewReader(content)); err != nil || digest != config.Digest {
		return nil, fmt.Errorf("its digest is %s, not %s", digest, config.Digest)
	}
	return content, nil
}

// Reference returns the image's name for an engine on this machine.
func (r *Relay) Reference() string {
	return fmt.Sprintf("%s/%s@%s", r.listener.Addr(), r.image.Context().RepositoryStr(), r.digest)
}

// Manifest returns the image's own manifest, whose digest is that of the image. Callers must not change it.
func (r *Relay) Manifest() []byte { return r.manifest }

// Held returns how many of the image's lowest layers the client has.
func (r *Relay) Held() int { return r.held }

// Digest returns the digest of the manifest that clients get.
func (r *Relay) Digest() string { return r.digest.String() }

// DockerConfig returns a Docker configuration with the login.
func (r *Relay) DockerConfig() ([]byte, error) {
	return dockerconfig.Encode(
		dockerconfig.Login{Registry: r.listener.Addr().String(), Username: user, Password: r.password},
	)
}

// Bytes returns how many bytes of the published image have been passed on, and how many it has.
func (r *Relay) Bytes() (done, total int64) { return r.done.Load(), r.total }

// Passed reports whether a client read all bytes of a blob, named by the digest in the manifest that clients get. It is
// false of a blob that no client requested.
func (r *Relay) Passed(digest string) bool {
	r.telling.Lock()
	defer r.telling.Unlock()
	place, known := r.places[digest]
	return known && r.passed[digest] >= r.offer.blobs[place].served.Size
}

// Close ends the relay and all its transfers.
func (r *Relay) Close() error {
	r.telling.Lock()
	if r.idle != nil {
		r.idle.Stop()
	}
	r.closed = true
	r.telling.Unlock()
	r.ahead.close()
	if err := r.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("end relay: %w", err)
	}
	return nil
}
