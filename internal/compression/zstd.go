package compression

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdFrameBytes of a layer are one frame, which is decompressed without the others:
	// docs/adr/0023-oci-manifests-and-zstd-layers.md.
	zstdFrameBytes = 4 << 20
	// zstdLevel is the second of the library's four.
	zstdLevel = zstd.SpeedDefault
)

// zstdCodec writes each block as a frame with its size: https://www.rfc-editor.org/rfc/rfc8878#section-3.1
type zstdCodec struct{ compressors sync.Pool }

func (*zstdCodec) blockBytes() int      { return zstdFrameBytes }
func (*zstdCodec) windowBytes() int     { return 0 }
func (*zstdCodec) begin() []byte        { return nil }
func (*zstdCodec) end(*checksum) []byte { return nil }

func (c *zstdCodec) compress(block, _ []byte) []byte {
	compressor, ok := c.compressors.Get().(*zstd.Encoder)
	if !ok {
		// The digest proves the bytes: frames need no checksum. An encoder fails for wrong options only.
		compressor, _ = zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstdLevel), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(zstdFrameBytes), zstd.WithZeroFrames(true))
	}
	defer c.compressors.Put(compressor)
	return compressor.EncodeAll(block, make([]byte, 0, len(block)/2))
}
