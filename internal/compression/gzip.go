package compression

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	gzipBlockBytes = 512 << 10
	// gzipWindowBytes is how far back a block may refer: https://www.rfc-editor.org/rfc/rfc1951#section-2
	gzipWindowBytes = 32 << 10
	// gzipLevel takes two thirds of the usual level's time for 6 % more bytes: docs/adr/0021-our-own-parallel-gzip.md.
	gzipLevel = 3
)

// gzipHeader has no name and no time, so that the same bytes give the same
// file: https://www.rfc-editor.org/rfc/rfc1952#section-2.3
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// gzipEnd is an empty last block, which closes a stream of flushed ones.
var gzipEnd = []byte{0x03, 0x00}

// checksum is what gzip says of the bytes that it holds.
type checksum struct{ size, sum uint32 }

func (c *checksum) add(p []byte) {
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p)
	c.size += uint32(len(p))
}

// gzipCodec writes one gzip member of all blocks.
type gzipCodec struct{ compressors sync.Pool }

func (*gzipCodec) blockBytes() int  { return gzipBlockBytes }
func (*gzipCodec) windowBytes() int { return gzipWindowBytes }
func (*gzipCodec) begin() []byte    { return gzipHeader }

func (*gzipCodec) end(plain *checksum) []byte {
	trailer := binary.LittleEndian.AppendUint32(bytes.Clone(gzipEnd), plain.sum)
	return binary.LittleEndian.AppendUint32(trailer, plain.size)
}

func (c *gzipCodec) compress(block, before []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(block)/2))
	compressor, ok := c.compressors.Get().(*flate.Writer)
	if !ok {
		compressor, _ = flate.NewWriter(out, gzipLevel) // fails for a wrong level only
	}
	compressor.ResetDict(out, before)
	_, writeErr := compressor.Write(block)
	if err := errors.Join(writeErr, compressor.Flush()); err != nil {
		panic("compressing into memory failed: " + err.Error())
	}
	c.compressors.Put(compressor)
	return out.Bytes()
}
