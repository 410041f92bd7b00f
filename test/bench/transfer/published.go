package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

// published is a layer as imagecache publishes it.
type published func(ctx context.Context, layer storedLayer) (content []byte, mediaType types.MediaType, err error)

// compressed is a layer of a graph driver's or podman's store: imagecache compresses it.
func compressed(ctx context.Context, layer storedLayer) ([]byte, types.MediaType, error) {
	content, err := zstdOf(ctx, layer)
	return content, types.OCILayerZStd, err
}

// kept is a layer of containerd's store, which has it in gzip already.
func kept(_ context.Context, layer storedLayer) ([]byte, types.MediaType, error) {
	content, err := os.ReadFile(layer.Gzip)
	return content, types.OCILayer, err
}

// putPublished adds an image with the sizes of its layers, in an OCI manifest.
func (r *registry) putPublished(ctx context.Context, layers []storedLayer, as published) (reference string, err error) {
	config, err := configOf(layers)
	if err != nil {
		return "", err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return "", err
	}
	if err := r.putBlob(ctx, digest, bytes.NewReader(config), size); err != nil {
		return "", err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest},
	}
	for _, layer := range layers {
		content, mediaType, err := as(ctx, layer)
		if err != nil {
			return "", fmt.Errorf("compress layer: %w", err)
		}
		described := v1.Descriptor{
			MediaType:   mediaType,
			Annotations: map[string]string{imagelabel.UncompressedBytes: strconv.FormatInt(layer.PlainSize, 10)},
		}
		if described.Digest, described.Size, err = v1.SHA256(bytes.NewReader(content)); err != nil {
			return "", err
		}
		if err := r.putBlob(ctx, described.Digest, bytes.NewReader(content), described.Size); err != nil {
			return "", err
		}
		manifest.Layers = append(manifest.Layers, described)
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return "", err
	}
	stored, err := r.blobs.PushManifest(ctx, repositoryName, "published", content, string(types.OCIManifestSchema1))
	if err != nil {
		return "", fmt.Errorf("fill registry: %w", err)
	}
	return fmt.Sprintf("%s/%s@%s", r.Address(), repositoryName, stored.Digest), nil
}

// zstdOf returns a layer in zstd, which is kept beside it.
func zstdOf(ctx context.Context, layer storedLayer) (content []byte, err error) {
	file := layer.Plain + ".zst"
	if content, err := os.ReadFile(file); err == nil {
		return content, nil
	}
	plain, err := os.Open(layer.Plain)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	var out bytes.Buffer
	writer := compression.NewWriter(&out, compression.NewPool(ctx, compression.Zstd))
	if _, err := io.Copy(writer, plain); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), os.WriteFile(file, out.Bytes(), 0o600)
}

// bytesOf is how many bytes layers have as they are published.
func bytesOf(ctx context.Context, layers []storedLayer, as published) (bytes int64, err error) {
	for _, layer := range layers {
		content, _, err := as(ctx, layer)
		if err != nil {
			return 0, err
		}
		bytes += int64(len(content))
	}
	return bytes, nil
}
