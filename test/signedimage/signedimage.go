// Package signedimage signs images for tests and benchmarks as the controller signs what it publishes.
package signedimage

import (
	"context"
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
)

// Claims returns what the controller would state about an image in a repository: its labels name hash, version and
// request, and its configuration names the platform.
func Claims(image v1.Image, repositoryARN string) (provenance.Claims, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return provenance.Claims{}, fmt.Errorf("read image: %w", err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return provenance.Claims{}, fmt.Errorf("read image: %w", err)
	}
	labels := config.Config.Labels
	claims := provenance.Claims{
		RepositoryARN: repositoryARN, Hash: labels[imagelabel.Hash], HashVersion: hash.Version,
		Platform: config.OS + "/" + config.Architecture, RequestUID: labels[imagelabel.UID], Config: manifest.Config.Digest.String(),
	}
	if version, err := strconv.Atoi(labels[imagelabel.Version]); err == nil {
		claims.HashVersion = version
	}
	for _, layer := range manifest.Layers {
		claims.Layers = append(claims.Layers, layer.Digest.String())
	}
	unsigned, err := withEnvelope(image, nil).Digest()
	if err != nil {
		return provenance.Claims{}, fmt.Errorf("read image: %w", err)
	}
	claims.UnsignedManifest = unsigned.String()
	return claims, nil
}

// withEnvelope returns the image with an envelope in its annotation.
func withEnvelope(image v1.Image, envelope []byte) v1.Image {
	return mutate.Annotations(image, map[string]string{imagelabel.Provenance: string(envelope)}).(v1.Image)
}

// Sign returns the image with a signed statement of these claims.
func Sign(ctx context.Context, image v1.Image, signer provenance.Signer, claims provenance.Claims) (v1.Image, error) {
	return SignRecord(ctx, image, signer, &provenance.Record{Claims: claims})
}

// SignRecord returns the image with a signed statement of a record.
func SignRecord(ctx context.Context, image v1.Image, signer provenance.Signer, record *provenance.Record) (v1.Image, error) {
	statement, err := provenance.ForImage(record)
	if err != nil {
		return nil, err
	}
	envelope, err := provenance.Sign(ctx, signer, statement)
	if err != nil {
		return nil, err
	}
	return withEnvelope(image, envelope), nil
}
