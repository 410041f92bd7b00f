package publication

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// ociTypes are OCI's media types for blobs that have the same bytes in Docker's format.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerConfigJSON:        types.OCIConfigJSON,
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
}

// Annotate returns the image as it is published: with an OCI manifest, which has the origin in its annotations, and so
// with another digest. Runners may report a manifest in Docker's format. Annotate writes the manifest from what Check
// read, and leaves out all other fields. An origin without inputs explains nothing and adds no annotations.
func (i *Image) Annotate(origin Origin) (*Image, error) {
	reported, err := v1.ParseManifest(bytes.NewReader(i.Manifest))
	if err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	manifest := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        ociDescriptor(reported.Config),
		Layers:        make([]v1.Descriptor, 0, len(reported.Layers)),
		Annotations:   maps.Clone(reported.Annotations),
	}
	manifest.Config.Annotations = nil // ECR refuses them
	for _, layer := range reported.Layers {
		manifest.Layers = append(manifest.Layers, ociDescriptor(layer))
	}
	if err := addOrigin(&manifest, origin); err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	annotated := *i
	if annotated.Manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("annotate manifest: %w", err)
	}
	annotated.Digest, annotated.MediaType = ocidigest.FromBytes(annotated.Manifest).String(), string(manifest.MediaType)
	return &annotated, nil
}

func ociDescriptor(of v1.Descriptor) v1.Descriptor {
	mediaType, isDocker := ociTypes[of.MediaType]
	if !isDocker {
		mediaType = of.MediaType
	}
	return v1.Descriptor{MediaType: mediaType, Size: of.Size, Digest: of.Digest, Annotations: of.Annotations}
}

func addOrigin(manifest *v1.Manifest, origin Origin) error {
	if len(origin.Inputs) == 0 {
		return nil
	}
	inputs, err := json.Marshal(origin.Inputs)
	if err != nil {
		return err
	}
	if manifest.Annotations == nil {
		manifest.Annotations = map[string]string{}
	}
	maps.Copy(manifest.Annotations, map[string]string{
		imagelabel.Hash:         origin.Hash,
		imagelabel.Version:      strconv.Itoa(origin.HashVersion),
		imagelabel.Platform:     origin.Platform,
		imagelabel.Environment:  origin.Environment,
		imagelabel.Trigger:      origin.Trigger,
		imagelabel.BuildSeconds: strconv.FormatInt(origin.BuildSeconds, 10),
		imagelabel.Inputs:       string(inputs),
	})
	if origin.Service != "" {
		manifest.Annotations[imagelabel.Service] = origin.Service
	}
	return nil
}
