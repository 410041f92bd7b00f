package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

// Client is the engine that pulls. The zero value gets everything as it was published.
type Client struct {
	// WithoutZstd: the engine can't read layers in zstd, or can't do everything with them.
	WithoutZstd bool
	// Held returns how many of an image's lowest layers the engine has, and finds by their diff IDs. It is nil for an
	// engine that finds layers only by their published digests. If it fails, the engine is taken to have none.
	Held func(ctx context.Context, diffIDs []v1.Hash) (int, error)
}

// decompresses reports whether the relay hands out a layer without its compression. held: the engine has the layer.
// docs/builders.md has the table, and docs/adr/0036-layers-are-handed-out-as-published.md the measurements.
func (c Client) decompresses(layer types.MediaType, held bool) bool {
	format, compressed := formats[layer]
	return compressed && (held || c.WithoutZstd && format == compression.Zstd)
}

// holds returns how many of an image's lowest layers the engine has. Not to know it costs only time.
func (c Client) holds(ctx context.Context, diffIDs []v1.Hash) int {
	if c.Held == nil || len(diffIDs) == 0 {
		return 0
	}
	held, err := c.Held(ctx, diffIDs)
	if err != nil {
		return 0
	}
	return held
}

// needsDiffIDs reports whether the engine may get layers by their diff IDs.
func (c Client) needsDiffIDs() bool { return c.WithoutZstd || c.Held != nil }

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

// plan decides how each layer of an image is handed out to an engine that has the held lowest ones. Without diff IDs,
// or without the size of a layer, it is handed out as it was published. The manifest changes only if a layer does.
func plan(raw []byte, manifest *v1.Manifest, diffIDs []v1.Hash, client Client, held int) (*offer, error) {
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
		if err == nil && size > 0 && len(diffIDs) == len(manifest.Layers) && client.decompresses(layer.MediaType, n < held) {
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
