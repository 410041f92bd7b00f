package transfer

import (
	"io"
	"testing"

	"imagecache.dev/test/testimage"
)

// A reader of a try that has failed may still read, while the next one has begun.
func TestOnlyTheLastTryOfALayerCounts(t *testing.T) {
	layers, err := testimage.Random(t, 1000, 1).Layers()
	if err != nil {
		t.Fatal(err)
	}
	sum := &meter{}
	layer := &meteredLayer{Layer: layers[0], meter: sum}
	open := func() io.ReadCloser {
		reader, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reader.Close() })
		return reader
	}
	read := func(reader io.Reader, bytes int64) {
		if _, err := io.CopyN(io.Discard, reader, bytes); err != nil {
			t.Error(err)
		}
	}

	first := open()
	read(first, 100)
	second := open()
	if got := sum.done.Load(); got != 0 {
		t.Errorf("%d bytes count when the second try begins", got)
	}
	late := make(chan struct{})
	go func() {
		defer close(late)
		read(first, 200)
	}()
	read(second, 300)
	<-late
	if got := sum.done.Load(); got != 300 {
		t.Errorf("%d bytes count, want the 300 of the second try", got)
	}
}
