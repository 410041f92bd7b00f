package savedimage

import (
	"io"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/imagelabel"
)

// Readable is an image whose layers every engine reads out of an archive: those in zstd are decompressed. Docker before
// 23.0 and podman's archives know gzip only.
type Readable struct{ v1.Image }

// Layers are the layers as every engine reads them.
func (r Readable) Layers() ([]v1.Layer, error) {
	layers, err := r.Image.Layers()
	if err != nil {
		return nil, err
	}
	for n, layer := range layers {
		described, err := partial.Descriptor(layer)
		if err != nil {
			return nil, err
		}
		if described.MediaType == types.OCILayerZStd {
			layers[n] = plainLayer{layer, described.Annotations[imagelabel.UncompressedBytes]}
		}
	}
	return layers, nil
}

// plainLayer is a layer without its compression.
type plainLayer struct {
	v1.Layer
	size string // a decimal number, or empty if it is not known
}

func (l plainLayer) Digest() (v1.Hash, error)            { return l.DiffID() }
func (l plainLayer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }
func (l plainLayer) Compressed() (io.ReadCloser, error)  { return l.Uncompressed() }

func (l plainLayer) Size() (int64, error) {
	if size, err := strconv.ParseInt(l.size, 10, 64); err == nil {
		return size, nil
	}
	content, err := l.Uncompressed()
	if err != nil {
		return 0, err
	}
	defer func() { _ = content.Close() }()
	return io.Copy(io.Discard, content)
}
