package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/test/shaped"
)

const repositoryName = "bench/image"

// registry is a registry in this process's memory, behind a link like the one to S3.
type registry struct {
	*shaped.Server
	blobs *ocimem.Registry
	// served counts the bytes of blobs that clients read.
	served atomic.Int64
}

func startRegistry(ctx context.Context) (*registry, error) {
	r := &registry{blobs: ocimem.New()}
	handler := ociserver.New(r.blobs, nil)
	var err error
	r.Server, err = shaped.Serve(ctx, shaped.S3, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet && strings.Contains(request.URL.Path, "/blobs/sha256:") {
			w = &countingWriter{w, &r.served}
		}
		withoutMount(request)
		handler.ServeHTTP(w, request)
	}))
	return r, err
}

// withoutMount makes an upload of a request to mount a blob of another repository, which a registry may do:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository. This one
// would refuse it if it lacks the other repository, and Docker 29 then gives up its push.
func withoutMount(request *http.Request) {
	query := request.URL.Query()
	if request.Method != http.MethodPost || !query.Has("mount") {
		return
	}
	query.Del("mount")
	query.Del("from")
	request.URL.RawQuery = query.Encode()
}

// countingWriter hides ReadFrom, which would pass the counter.
type countingWriter struct {
	http.ResponseWriter
	count *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.count.Add(int64(n))
	return n, err
}

// put adds an image with gzip layers, as engines push it, and returns its name with its digest.
func (r *registry) put(ctx context.Context, layers []storedLayer) (reference string, err error) {
	config, err := configOf(layers)
	if err != nil {
		return "", err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return "", err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.DockerManifestSchema2,
		Config: v1.Descriptor{MediaType: types.DockerConfigJSON, Size: size, Digest: digest},
	}
	if err := r.putBlob(ctx, digest, bytes.NewReader(config), size); err != nil {
		return "", err
	}
	for _, layer := range layers {
		manifest.Layers = append(manifest.Layers, v1.Descriptor{MediaType: types.DockerLayer, Size: layer.Size, Digest: layer.Digest})
		if err := r.putLayer(ctx, layer); err != nil {
			return "", err
		}
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return "", err
	}
	stored, err := r.blobs.PushManifest(ctx, repositoryName, "1", content, string(types.DockerManifestSchema2))
	if err != nil {
		return "", fmt.Errorf("fill registry: %w", err)
	}
	return fmt.Sprintf("%s/%s@%s", r.Address(), repositoryName, stored.Digest), nil
}

func (r *registry) putLayer(ctx context.Context, layer storedLayer) (err error) {
	file, err := os.Open(layer.Gzip)
	if err != nil {
		return fmt.Errorf("fill registry: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return r.putBlob(ctx, layer.Digest, file, layer.Size)
}

func (r *registry) putBlob(ctx context.Context, digest v1.Hash, content interface{ Read([]byte) (int, error) }, size int64) error {
	blob := ociregistry.Descriptor{Digest: ociregistry.Digest(digest.String()), Size: size, MediaType: "application/octet-stream"}
	if _, err := r.blobs.PushBlob(ctx, repositoryName, blob, content); err != nil {
		return fmt.Errorf("fill registry: %w", err)
	}
	return nil
}
