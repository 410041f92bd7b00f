package imageconfig

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image returns an image with an edited configuration. Layers and everything else of the manifest stay.
func (e Edit) Image(image v1.Image) (v1.Image, error) {
	raw, err := image.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	config, err := e.Apply(raw)
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	manifest = manifest.DeepCopy()
	if manifest.Config.Digest, manifest.Config.Size, err = v1.SHA256(bytes.NewReader(config)); err != nil {
		return nil, fmt.Errorf("write image configuration: %w", err)
	}
	manifest.Config.Data = nil // the configuration, where a registry embeds it
	edited := &edited{original: image, config: config}
	if edited.manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("write image: %w", err)
	}
	return partial.CompressedToImage(edited)
}

// edited is an image with the layers of another.
type edited struct {
	original         v1.Image
	config, manifest []byte
}

func (i *edited) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *edited) RawManifest() ([]byte, error)        { return i.manifest, nil }
func (i *edited) MediaType() (types.MediaType, error) { return i.original.MediaType() }
func (i *edited) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	return i.original.LayerByDigest(digest)
}
