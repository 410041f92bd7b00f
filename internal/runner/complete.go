package runner

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/transfer"
)

// nothing is passed where the bytes of a pull were not seen.
func nothing(string) bool { return false }

// pulled is what an engine pulled: the image in its registry, or as a relay hands it out.
type pulled struct {
	digest string // of the manifest
	// passed reports which blobs the engine took, by their digest in the manifest.
	passed func(digest string) bool
	image  func(ctx context.Context) (v1.Image, error)
}

// complete proves that the engine's store has all of a pulled image, and loads what it lacks. An image that stays
// incomplete loses its name, so that nothing uses it.
func (s EngineStore) complete(ctx context.Context, p *pull, got pulled) error {
	proved := s.Engine.Complete(ctx, p.name, got.digest)
	// What the engine took and did not keep is loaded the second time.
	for _, known := range []func(digest string) bool{got.passed, nothing} {
		if !errors.Is(proved, builder.ErrIncomplete) && !errors.Is(proved, builder.ErrNotTold) {
			break
		}
		published, err := got.image(ctx)
		if err != nil {
			return s.incomplete(ctx, p, fmt.Errorf("pull image: %w", err))
		}
		if err := s.load(ctx, p, published, known); err != nil {
			return s.incomplete(ctx, p, err)
		}
		proved = s.Engine.Complete(ctx, p.name, got.digest)
		if errors.Is(proved, builder.ErrNotTold) {
			return nil // it was given every blob
		}
	}
	if proved != nil {
		return s.incomplete(ctx, p, proved)
	}
	return nil
}

// load loads the layers of an image that are not known to be in the store. The pull's progress goes on.
func (s EngineStore) load(ctx context.Context, p *pull, published v1.Image, known func(digest string) bool) error {
	manifest, err := published.Manifest()
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	missing := int64(0)
	for _, layer := range manifest.Layers {
		if !known(layer.Digest.String()) {
			missing += layer.Size
		}
	}
	if missing == 0 && len(manifest.Layers) > 0 {
		return nil
	}
	_, _ = fmt.Fprintf(p.output, "The engine left out layers of the image, %s; they are loaded\n", megabytes(missing))
	before, total := p.done, max(p.total, p.done+missing)
	metered, err := transfer.Meter(published, func(done, _ int64) {
		if p.progress != nil {
			p.progress(min(before+done, total), total)
		}
	})
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	err = s.Engine.LoadBlobs(ctx, metered, p.name, func(digest v1.Hash) bool { return known(digest.String()) })
	if err != nil {
		return fmt.Errorf("complete image: %w", err)
	}
	if p.total > 0 {
		p.done = min(before+missing, total)
	}
	return nil
}

// incomplete takes the name away from an image that must not be used.
func (s EngineStore) incomplete(ctx context.Context, p *pull, why error) error {
	if ctx.Err() != nil {
		return why
	}
	if err := s.Engine.Remove(ctx, p.name); err != nil {
		return errors.Join(why, err)
	}
	return why
}
