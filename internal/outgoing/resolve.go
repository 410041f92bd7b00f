package outgoing

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/layerrecord"
)

// resolver finds the layers of a manifest.
type resolver struct {
	engine  *Engine
	ctx     context.Context
	written map[v1.Hash]*Written
	known   []layerrecord.Layer
	// used are the layers to record, and stored those that are still in the store.
	used   []layerrecord.Layer
	stored []*storedBlob
}

// knows reports whether the record has a blob of a layer that the engine names by its diff ID.
func (r *resolver) knows(diffID v1.Hash) bool {
	return slices.ContainsFunc(r.known, func(l layerrecord.Layer) bool { return l.DiffID == diffID && l.Pushed == diffID })
}

func (r *resolver) knowsAll(diffIDs []v1.Hash) bool {
	return !slices.ContainsFunc(diffIDs, func(diffID v1.Hash) bool { return !r.knows(diffID) })
}

// knowsMost reports whether the record has at least half of the bytes of these layers.
func (r *resolver) knowsMost(diffIDs []v1.Hash) bool {
	known := int64(0)
	for _, l := range r.known {
		if l.Pushed == l.DiffID && slices.Contains(diffIDs, l.DiffID) {
			known += l.PlainSize
		}
	}
	return 2*known >= r.engine.PlainSize
}

// resolve finds a layer of the configuration with what the manifest says of it. A layer that was written must have the
// configuration's diff ID: what a registry has under a digest is what was written, or what the record says was written
// here before.
func (r *resolver) resolve(diffID v1.Hash, described v1.Descriptor) (*Layer, error) {
	if w := r.written[described.Digest]; w != nil {
		if w.DiffID != diffID {
			return nil, fmt.Errorf("it is %s, the configuration says %s", w.DiffID, diffID)
		}
		l := layerrecord.Layer{
			DiffID: diffID, Digest: w.Digest, Size: w.Size, MediaType: w.MediaType, PlainSize: w.PlainSize,
			Pushed: described.Digest, Encoder: r.engine.Encoder,
		}
		if r.engine.Naming == ByDiffID {
			l.Pushed = diffID
		}
		r.used = append(r.used, l)
		return &Layer{
			DiffID: diffID, Digest: w.Digest, Size: w.Size, MediaType: w.MediaType, PlainSize: w.PlainSize, Written: w.File,
		}, nil
	}
	if r.engine.Naming == ByStoredBlob {
		return r.inStore(diffID, described), nil
	}
	for _, l := range r.known {
		if l.DiffID == diffID && l.Pushed == diffID {
			r.used = append(r.used, l)
			again := &writtenAgain{engine: r.engine, ctx: r.ctx, layer: l}
			return &Layer{
				DiffID: diffID, Digest: l.Digest, Size: l.Size, MediaType: l.MediaType, PlainSize: l.PlainSize, Open: again.open,
			}, nil
		}
	}
	return nil, errNotSent
}

// inStore is a layer whose blob stays in the store. The record tells whether it was compared with its diff ID before.
func (r *resolver) inStore(diffID v1.Hash, described v1.Descriptor) *Layer {
	blob := &storedBlob{
		engine: r.engine, ctx: r.ctx, digest: described.Digest, diffID: diffID, size: described.Size,
		mediaType: string(described.MediaType),
	}
	for _, l := range r.known {
		if l.DiffID == diffID && l.Digest == described.Digest && l.Pushed == described.Digest {
			blob.proved.Store(true)
			blob.plainSize.Store(l.PlainSize)
		}
	}
	r.stored = append(r.stored, blob)
	return &Layer{
		DiffID: diffID, Digest: described.Digest, Size: described.Size, MediaType: blob.mediaType,
		PlainSize: blob.plainSize.Load(), Open: blob.open,
	}
}
