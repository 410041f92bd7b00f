package relay

import (
	"context"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image returns the image as clients get it, for loading what an engine did not take. It reads until ctx ends, also
// after Close.
func (r *Relay) Image(ctx context.Context) (v1.Image, error) {
	return partial.CompressedToImage(&image{relay: r, ctx: ctx})
}

type image struct {
	relay *Relay
	ctx   context.Context
}

func (i *image) RawManifest() ([]byte, error)        { return i.relay.offer.manifest, nil }
func (i *image) MediaType() (types.MediaType, error) { return i.relay.offer.mediaType, nil }

// RawConfigFile compares the digest: engines don't do that when they load an image.
func (i *image) RawConfigFile() ([]byte, error) {
	content, err := i.relay.readConfig(i.ctx, i.relay.offer.blobs[0].published)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return content, nil
}

func (i *image) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	place, known := i.relay.places[digest.String()]
	if !known {
		return nil, fmt.Errorf("the image has no layer %s", digest)
	}
	return &layer{i, place}, nil
}

// layer is a layer as clients get it.
type layer struct {
	image *image
	place int
}

func (l *layer) served() v1.Descriptor { return l.image.relay.offer.blobs[l.place].served }

func (l *layer) Digest() (v1.Hash, error)            { return l.served().Digest, nil }
func (l *layer) Size() (int64, error)                { return l.served().Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.served().MediaType, nil }

func (l *layer) Compressed() (io.ReadCloser, error) {
	content, err := l.image.relay.content(l.image.ctx, l.place, 0)
	if err != nil {
		return nil, err
	}
	return &countedContent{ReadCloser: content, relay: l.image.relay, place: l.place}, nil
}

// countedContent counts what is read for loading, as what a client reads.
type countedContent struct {
	io.ReadCloser
	relay *Relay
	place int
}

func (c *countedContent) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.relay.count(c.place, int64(n))
	}
	return n, err
}
