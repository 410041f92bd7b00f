package runner

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imageconfig"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/publication"
)

// candidate is an image to report and upload: an OCI manifest, the image's configuration with our labels, and its
// blobs.
type candidate struct {
	manifest []byte
	config   []byte
	blobs    map[string]v1.Layer // by digest, including the configuration
}

// publishedTypes are the media types of layers in a published manifest, by those that an engine or its store names.
var publishedTypes = map[types.MediaType]types.MediaType{
	types.DockerLayer:  types.OCILayer,
	types.OCILayer:     types.OCILayer,
	types.OCILayerZStd: types.OCILayerZStd,
}

// labels are what a published image's labels record.
func labels(want publication.Expectation, environment string, took time.Duration) map[string]string {
	return map[string]string{
		imagelabel.Hash:         want.Hash,
		imagelabel.Version:      strconv.Itoa(want.HashVersion),
		imagelabel.UID:          want.UID,
		imagelabel.BuildSeconds: strconv.FormatInt(wholeSeconds(took), 10),
		imagelabel.Environment:  environment,
	}
}

// newCandidate returns the candidate of an image that an engine saved.
func newCandidate(image v1.Image, labels map[string]string, platform string) (*candidate, error) {
	raw, err := image.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read built image: %w", err)
	}
	edit := imageconfig.Edit{Labels: labels}
	if given, err := v1.ParsePlatform(platform); err == nil {
		edit.Platform = *given
	}
	config, err := edit.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("read built image: %w", err)
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("read built image: %w", err)
	}
	c := &candidate{config: config, blobs: map[string]v1.Layer{}}
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config: c.add(
			static.NewLayer(config, types.OCIConfigJSON), ocidigest.FromBytes(config).String(), int64(len(config)),
			types.OCIConfigJSON,
		),
		Layers: []v1.Descriptor{},
	}
	for _, layer := range layers {
		described, err := partial.Descriptor(layer)
		if err != nil {
			return nil, fmt.Errorf("read built image: %w", err)
		}
		mediaType, known := publishedTypes[described.MediaType]
		if !known {
			return nil, fmt.Errorf(
				"the built image has a layer of media type %s, which can't be published", described.MediaType,
			)
		}
		added := c.add(layer, described.Digest.String(), described.Size, mediaType)
		if bytes := described.Annotations[imagelabel.UncompressedBytes]; bytes != "" {
			added.Annotations = map[string]string{imagelabel.UncompressedBytes: bytes}
		}
		manifest.Layers = append(manifest.Layers, added)
	}
	if c.manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return c, nil
}

func (c *candidate) add(layer v1.Layer, digest string, size int64, mediaType types.MediaType) v1.Descriptor {
	c.blobs[digest] = layer
	hash, _ := v1.NewHash(digest) // computed a moment ago
	return v1.Descriptor{MediaType: mediaType, Digest: hash, Size: size}
}

// check makes the controller's checks before anything is sent.
func (c *candidate) check(want publication.Expectation) error {
	if _, rejection := publication.Check(
		publication.Report{Manifest: c.manifest, Config: c.config}, want,
	); rejection != nil {
		return rejection
	}
	return nil
}
