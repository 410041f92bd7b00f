package relay

import (
	"encoding/json"
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

// Store is how an engine stores the layers that it pulls.
type Store string

// Stores.
const (
	// UnknownStore gets everything as it was published.
	UnknownStore Store = ""
	// PodmanStore unpacks layers. It finds those that it has by the digests that it knows of them: the diff ID, and the one
	// that it pulled them by.
	PodmanStore Store = "podman"
	// GraphStore is Docker's own, such as overlay2. It unpacks layers one after the other.
	GraphStore Store = "graph driver"
	// ContainerdStore keeps the blobs beside the unpacked layers.
	ContainerdStore Store = "containerd"
)

// decompresses reports whether the relay hands out a layer without its compression, to a store that has the layer or that
// lacks it: docs/builders.md has the table, and docs/adr/0023-oci-manifests-and-zstd-layers.md the measurements.
func decompresses(store Store, layer types.MediaType, held bool) bool {
	format, compressed := formats[layer]
	switch store {
	case GraphStore:
		return compressed
	case PodmanStore:
		return compressed && (held || format == compression.Gzip)
	}
	return false
}

// formats are the compressions of layers by their media type.
var formats = map[types.MediaType]compression.Format{
	types.DockerLayer:  compression.Gzip,
	types.OCILayer:     compression.Gzip,
	types.OCILayerZStd: compression.Zstd,
}

// blob is a blob of the image, as it was published and as clients get it.
type blob struct {
	published, served v1.Descriptor
	format            compression.Format // to decompress; empty if clients get it as it was published
}

// offer is what clients get instead of the published image.
type offer struct {
	manifest  []byte
	mediaType types.MediaType
	blobs     []blob // in the order of the manifest, the configuration first
}

// plan decides how each layer of an image is handed out to a store that has the held lowest ones. Without diff IDs, or
// without the size of a layer, it is handed out as it was published. The manifest changes only if a layer does.
func plan(raw []byte, manifest *v1.Manifest, diffIDs []v1.Hash, store Store, held int) (*offer, error) {
	o := &offer{manifest: raw, mediaType: manifest.MediaType}
	o.blobs = append(o.blobs, blob{published: manifest.Config, served: manifest.Config})
	changed := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: manifest.Config, Layers: []v1.Descriptor{},
	}
	changed.Config.MediaType = types.OCIConfigJSON
	decompressed := false
	for n, layer := range manifest.Layers {
		b := blob{published: layer, served: layer}
		size, err := strconv.ParseInt(layer.Annotations[imagelabel.UncompressedBytes], 10, 64)
		if err == nil && size > 0 && len(diffIDs) == len(manifest.Layers) && decompresses(store, layer.MediaType, n < held) {
			b.served = v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: size, Digest: diffIDs[n]}
			b.format = formats[layer.MediaType]
			decompressed = true
		}
		o.blobs = append(o.blobs, b)
		changed.Layers = append(changed.Layers, b.served)
	}
	if !decompressed {
		return o, nil
	}
	content, err := json.Marshal(changed)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	o.manifest, o.mediaType = content, changed.MediaType
	return o, nil
}
