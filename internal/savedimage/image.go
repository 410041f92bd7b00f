package savedimage

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// savedImage is an image with an OCI manifest whose layers are files.
type savedImage struct {
	config   []byte // as the engine wrote it
	layers   []*Layer
	manifest []byte
}

// New returns an image with the configuration that an engine wrote and the layers that it names. The error is of layers
// that are not those of the configuration.
func New(config []byte, layers []*Layer) (v1.Image, error) {
	saved := &savedImage{config: config, layers: layers}
	if err := saved.seal(); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(saved)
}

// seal writes the manifest and checks that the layers are those of the configuration.
func (i *savedImage) seal() error {
	config, err := v1.ParseConfigFile(bytes.NewReader(i.config))
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(i.layers) {
		return fmt.Errorf("configuration names %d layers, the manifest %d", len(config.RootFS.DiffIDs), len(i.layers))
	}
	digest, size, err := v1.SHA256(bytes.NewReader(i.config))
	if err != nil {
		return err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest},
		Layers:        []v1.Descriptor{},
	}
	for n, l := range i.layers {
		if want := config.RootFS.DiffIDs[n]; l.diffID != want {
			return fmt.Errorf("layer %d is %s, the configuration says %s", n+1, l.diffID, want)
		}
		described, err := l.Descriptor()
		if err != nil {
			return err
		}
		manifest.Layers = append(manifest.Layers, *described)
	}
	i.manifest, err = json.Marshal(manifest)
	return err
}

func (i *savedImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *savedImage) RawManifest() ([]byte, error)        { return i.manifest, nil }
func (i *savedImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (i *savedImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range i.layers {
		if l.digest == digest {
			return l, nil
		}
	}
	return nil, fmt.Errorf("image has no layer %s", digest)
}
