package transfer

import (
	"io"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// meter counts the bytes of a transfer, and reports them one call at a time.
type meter struct {
	progress func(done, total int64) // may be nil
	total    int64
	done     atomic.Int64
	telling  sync.Mutex
}

func (m *meter) count(bytes int64) {
	if bytes == 0 {
		return
	}
	m.telling.Lock()
	defer m.telling.Unlock()
	done := m.done.Add(bytes)
	if m.progress != nil {
		m.progress(done, m.total)
	}
}

// meteredLayer counts the bytes of a layer that are read for a transfer. A reader may still read when another one has
// begun, so only the last reader counts.
type meteredLayer struct {
	v1.Layer
	meter *meter

	mu   sync.Mutex
	last *meteredReader
	read int64
}

// Compressed starts at the first byte again. Bytes that an earlier try sent no longer count.
func (l *meteredLayer) Compressed() (io.ReadCloser, error) {
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	reader := &meteredReader{ReadCloser: content, layer: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = reader
	l.add(-l.read)
	return reader, nil
}

// add counts bytes. The caller holds mu.
func (l *meteredLayer) add(bytes int64) {
	l.read += bytes
	l.meter.count(bytes)
}

type meteredReader struct {
	io.ReadCloser
	layer *meteredLayer
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.layer.mu.Lock()
	defer r.layer.mu.Unlock()
	if r.layer.last == r {
		r.layer.add(int64(n))
	}
	return n, err
}

// Image is an image that counts the bytes of its layers, compressed, as they are read.
type Image struct {
	v1.Image
	meter  *meter
	layers []v1.Layer
}

// Meter returns image with a count of its bytes. progress is called while they are read, one call at a time, and may be
// nil. The bytes of a layer that is read again count once: done may fall.
func Meter(image v1.Image, progress func(done, total int64)) (*Image, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	metered := &Image{Image: image, meter: &meter{progress: progress}}
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return nil, err
		}
		metered.meter.total += size
		metered.layers = append(metered.layers, &meteredLayer{Layer: layer, meter: metered.meter})
	}
	return metered, nil
}

// Layers returns the layers, which count what is read of them.
func (i *Image) Layers() ([]v1.Layer, error) { return i.layers, nil }

// Bytes returns how many bytes count as read, and how many all layers have.
func (i *Image) Bytes() (done, total int64) { return i.meter.done.Load(), i.meter.total }
