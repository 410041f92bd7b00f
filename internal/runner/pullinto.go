package runner

import (
	"context"
	"io"

	"imagecache.dev/internal/builder"
)

// PullInto pulls an image, named by its digest, into an engine's store under a name, as Prepare does on a hit. secret is a
// Docker configuration with credentials for the image's registry.
func PullInto(ctx context.Context, engine builder.Engine, reference, name string, secret []byte) error {
	return EngineStore{engine}.pull(ctx, &pull{reference: reference, name: name, secret: secret, output: io.Discard})
}
