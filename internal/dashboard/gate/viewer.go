package gate

import (
	"context"

	"imagecache.dev/internal/dashboard/access"
)

type viewerKey struct{}

// WithViewer returns a context with the viewer of a request.
func WithViewer(ctx context.Context, viewer access.Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, viewer)
}

// ViewerOf returns the viewer of a request that passed a gate, or nil.
func ViewerOf(ctx context.Context) access.Viewer {
	viewer, _ := ctx.Value(viewerKey{}).(access.Viewer)
	return viewer
}
