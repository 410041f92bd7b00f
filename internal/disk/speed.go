// Package disk measures how fast a disk takes data. Every pulled layer is written to the engine's store, so a disk with
// a low throughput bounds every pull.
package disk

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"
)

// blockBytes is the size of one write. It is a multiple of the block size of every common file system, which writes
// past the page cache need: https://man7.org/linux/man-pages/man2/open.2.html#NOTES
const blockBytes = 1 << 20

// Speed is the result of a measurement.
type Speed struct {
	Bytes int64
	Took  time.Duration
}

// BytesPerSecond returns the rate, or zero if nothing was written.
func (s Speed) BytesPerSecond() int64 {
	if s.Took <= 0 {
		return 0
	}
	return int64(float64(s.Bytes) / s.Took.Seconds())
}

// MeasureWrite writes a temporary file of at most maxBytes into a folder, for at most the given time, and returns how
// fast the disk took it. The file has no name while it is written, so that nothing remains of it. The data can't be
// compressed and bypasses the page cache, if the file system allows that; otherwise it is synced at the end.
func MeasureWrite(ctx context.Context, folder string, maxBytes int64, limit time.Duration) (Speed, error) {
	file, err := os.CreateTemp(folder, "imagecache-speed-")
	if err != nil {
		return Speed{}, fmt.Errorf("measure disk: %w", err)
	}
	defer func() { _ = file.Close() }() // nobody reads the file
	if err := os.Remove(file.Name()); err != nil {
		return Speed{}, fmt.Errorf("measure disk: %w", err)
	}
	bypassCache(file)
	block, free, err := alignedBlock(blockBytes)
	if err != nil {
		return Speed{}, fmt.Errorf("measure disk: %w", err)
	}
	defer free()
	_, _ = rand.Read(block) // never fails: https://pkg.go.dev/crypto/rand#Read
	speed, err := write(ctx, file, block, maxBytes, limit)
	if err != nil {
		return Speed{}, fmt.Errorf("measure disk: %w", err)
	}
	return speed, nil
}

func write(ctx context.Context, file *os.File, block []byte, maxBytes int64, limit time.Duration) (Speed, error) {
	began := time.Now()
	var speed Speed
	for speed.Bytes+int64(len(block)) <= maxBytes && time.Since(began) < limit {
		if err := ctx.Err(); err != nil {
			return speed, context.Cause(ctx)
		}
		n, err := file.Write(block)
		speed.Bytes += int64(n)
		if err != nil {
			return speed, err
		}
	}
	err := file.Sync()
	speed.Took = time.Since(began)
	return speed, err
}
