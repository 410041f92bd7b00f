// Package intake is a registry on loopback into which an engine pushes one image. It takes the blobs that its owner wants,
// and tells the engine that it has all others.
package intake

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/dockerconfig"
)

const (
	// user is the login's name. Engines want one, and no registry has it.
	user = "imagecache"
	// repository is the image's place. It is the same each time: engines remember what they pushed to where.
	repository = "imagecache/outgoing"
	tag        = "1"
	// headerTimeout bounds how long a client may take for the headers of a request.
	headerTimeout = 10 * time.Second
	// maxManifests and maxManifestBytes bound what is kept in memory: an index, an image for each platform and what is
	// attached to it. ECR takes no larger manifests: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
	maxManifests     = 128
	maxManifestBytes = 4 << 20
)

// Pattern matches the names under which engines push, for a filter of images.
const Pattern = "127.0.0.1:*/" + repository

// Owner decides about the blobs of a push. Its methods are called by several goroutines at once.
type Owner interface {
	// Has reports the size of a blob that the engine need not push.
	Has(digest v1.Hash) (size int64, has bool)
	// Take reads a blob that the engine pushes, to its end. An error fails the push. What Take read is not known to be the
	// content of a digest until Took is called.
	Take(content io.Reader) (blob any, err error)
	// Took tells the digest of a blob that was taken, after its bytes were compared with it.
	Took(digest v1.Hash, blob any)
}

// Manifest is a manifest that an engine pushed.
type Manifest struct {
	MediaType string
	Content   []byte
	Digest    v1.Hash
}

// Intake is a registry that serves one push after the other. Only a client with its login may use it.
type Intake struct {
	owner    Owner
	password string
	listener net.Listener
	server   *http.Server

	mu        sync.Mutex
	uploads   map[string]*upload
	manifests []Manifest
	tagged    string // the digest under the tag
}

// Start serves until Close. ctx ends what is being taken.
func Start(ctx context.Context, owner Owner) (*Intake, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	i := &Intake{owner: owner, password: rand.Text(), listener: listener, uploads: map[string]*upload{}}
	registry := ociserver.New(i.backend(), &ociserver.Options{DisableSinglePostUpload: true})
	i.server = &http.Server{
		Handler:           i.authenticated(registry),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // engines try TLS first
	}
	go func() { _ = i.server.Serve(listener) }() // ends with Close
	return i, nil
}

// Reference is the name under which an engine pushes.
func (i *Intake) Reference() string {
	return fmt.Sprintf("%s/%s:%s", i.listener.Addr(), repository, tag)
}

// DockerConfig returns a Docker configuration with the login.
func (i *Intake) DockerConfig() ([]byte, error) {
	return dockerconfig.Encode(dockerconfig.Login{
		Registry: i.listener.Addr().String(), Username: user, Password: i.password,
	})
}

// Close ends the registry, and what is being pushed.
func (i *Intake) Close() error {
	err := i.server.Close()
	i.mu.Lock()
	uploads := i.uploads
	i.uploads = map[string]*upload{}
	i.mu.Unlock()
	for _, u := range uploads {
		u.abort()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("end registry on loopback: %w", err)
	}
	return nil
}

// Tagged returns what the last push put under the tag, an image or an index, and all manifests that came with it.
func (i *Intake) Tagged() (tagged Manifest, all []Manifest, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.manifests {
		if m.Digest.String() == i.tagged {
			return m, i.manifests, nil
		}
	}
	return Manifest{}, nil, errors.New("the engine pushed no manifest")
}

// authenticated refuses every client without the login.
func (i *Intake) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, password, _ := r.BasicAuth()
		if given != user || subtle.ConstantTimeCompare([]byte(password), []byte(i.password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="imagecache"`)
			http.Error(w, "this registry takes only one push", http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPost {
			// An upload begins. The client may ask to mount the blob from another repository; no other exists, and the
			// answer is that of an upload without the wish.
			r.URL.RawQuery = ""
		}
		next.ServeHTTP(w, r)
	})
}

// backend is the registry behind HTTP. Everything that a push does not need is refused.
func (i *Intake) backend() ociregistry.Interface {
	return &ociregistry.Funcs{
		ResolveBlob_: func(_ context.Context, repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error) {
			return i.resolveBlob(repo, digest)
		},
		ResolveManifest_: func(_ context.Context, repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error) {
			return i.resolveManifest(repo, digest)
		},
		ResolveTag_: func(context.Context, string, string) (ociregistry.Descriptor, error) {
			return ociregistry.Descriptor{}, ociregistry.ErrManifestUnknown
		},
		PushBlobChunked_: func(_ context.Context, repo string, _ int) (ociregistry.BlobWriter, error) {
			return i.begin(repo)
		},
		PushBlobChunkedResume_: func(_ context.Context, _, id string, offset int64, _ int) (ociregistry.BlobWriter, error) {
			return i.resume(id, offset)
		},
		PushManifest_: func(_ context.Context, repo, tag string, content []byte, mediaType string) (ociregistry.Descriptor, error) {
			return i.putManifest(repo, tag, content, mediaType)
		},
	}
}
