package savedimage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelayout"
)

// FromLayout takes an image out of a folder in the OCI image layout. Layers that are gzip already are linked, not
// copied.
func FromLayout(
	ctx context.Context, store imagelayout.Store, name, dir string, format compression.Format,
) (v1.Image, error) {
	pool := compression.NewPool(ctx, format)
	var config []byte
	var saved []*Layer
	err := store.View(ctx, name, func(image v1.Image) (err error) {
		if config, err = image.RawConfigFile(); err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		for _, stored := range layers {
			l, err := saveStoredLayer(store, stored, dir, pool)
			if err != nil {
				return err
			}
			saved = append(saved, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return New(config, saved)
}

func saveStoredLayer(store imagelayout.Store, stored v1.Layer, dir string, pool *compression.Pool) (*Layer, error) {
	mediaType, err := stored.MediaType()
	if err != nil {
		return nil, err
	}
	if mediaType == types.DockerLayer || mediaType == types.OCILayer {
		if l, err := linkLayer(store, stored, dir); err == nil {
			return l, nil
		}
	}
	content, err := stored.Compressed()
	if err != nil {
		return nil, err
	}
	l, err := WriteLayer(content, dir, pool)
	return l, errors.Join(err, content.Close())
}

// linkLayer fails where the folders are on different file systems.
func linkLayer(store imagelayout.Store, stored v1.Layer, dir string) (*Layer, error) {
	digest, digestErr := stored.Digest()
	diffID, diffErr := stored.DiffID()
	size, sizeErr := stored.Size()
	if err := errors.Join(digestErr, diffErr, sizeErr); err != nil {
		return nil, err
	}
	l := &Layer{
		path: filepath.Join(dir, digest.Hex), digest: digest, diffID: diffID, size: size, format: compression.Gzip,
	}
	err := os.Link(store.Blob(digest), l.path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return l, nil
}
