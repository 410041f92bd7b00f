package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// annotationName names an image in a layout:
// https://github.com/opencontainers/image-spec/blob/main/annotations.md
const annotationName = "org.opencontainers.image.ref.name"

// layoutStore is an image store in a folder:
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md.
// A lock keeps processes that write to it apart.
type layoutStore struct {
	folder string
}

// lockAndOpen makes the layout where there is none.
func (s layoutStore) lockAndOpen(ctx context.Context) (layout.Path, func(), error) {
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return "", nil, err
	}
	unlock, err := lock(ctx, Embedded+" "+s.folder, nil)
	if err != nil {
		return "", nil, err
	}
	opened, err := layout.FromPath(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		opened, err = layout.Write(s.folder, empty.Index)
	}
	if err != nil {
		unlock()
		return "", nil, err
	}
	return opened, unlock, nil
}

func (s layoutStore) put(ctx context.Context, image v1.Image, name string) error {
	opened, unlock, err := s.lockAndOpen(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return opened.ReplaceImage(image, match.Name(name), layout.WithAnnotations(map[string]string{annotationName: name}))
}

// get returns the image with a name or a digest, which reads from the store; fs.ErrNotExist where it has none.
func (s layoutStore) get(name string) (v1.Image, error) {
	opened, err := layout.FromPath(s.folder)
	if err != nil {
		return nil, err
	}
	index, err := opened.ImageIndex()
	if err != nil {
		return nil, err
	}
	matcher := match.Name(name)
	if digest, err := v1.NewHash(name); err == nil {
		matcher = match.Digests(digest)
	}
	images, err := partial.FindImages(index, matcher)
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("image %s: %w", name, fs.ErrNotExist)
	}
	return images[0], nil
}

// remove takes a name away, and the blobs that no other image has.
func (s layoutStore) remove(ctx context.Context, name string) error {
	opened, unlock, err := s.lockAndOpen(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := opened.RemoveDescriptors(match.Name(name)); err != nil {
		return err
	}
	unused, err := opened.GarbageCollect()
	if err != nil {
		return err
	}
	for _, digest := range unused {
		if err := opened.RemoveBlob(digest); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// save takes an image out of the store as Engine.Save says. Layers that are
// gzip already are linked, not copied.
func (s layoutStore) save(ctx context.Context, name, dir string) (v1.Image, error) {
	_, unlock, err := s.lockAndOpen(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	image, err := s.get(name)
	if err != nil {
		return nil, err
	}
	saved := &savedImage{}
	if saved.config, err = image.RawConfigFile(); err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, stored := range layers {
		l, err := s.saveLayer(ctx, stored, dir)
		if err != nil {
			return nil, err
		}
		saved.layers = append(saved.layers, l)
	}
	if err := saved.seal(); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(saved)
}

func (s layoutStore) saveLayer(ctx context.Context, stored v1.Layer, dir string) (*layer, error) {
	mediaType, err := stored.MediaType()
	if err != nil {
		return nil, err
	}
	if mediaType == types.DockerLayer || mediaType == types.OCILayer {
		if l, err := s.linkLayer(stored, dir); err == nil {
			return l, nil
		}
	}
	content, err := stored.Compressed()
	if err != nil {
		return nil, err
	}
	l, err := writeLayer(content, dir, newGzipPool(ctx))
	return l, errors.Join(err, content.Close())
}

// linkLayer fails where the folders are on different file systems.
func (s layoutStore) linkLayer(stored v1.Layer, dir string) (*layer, error) {
	digest, digestErr := stored.Digest()
	diffID, diffErr := stored.DiffID()
	size, sizeErr := stored.Size()
	if err := errors.Join(digestErr, diffErr, sizeErr); err != nil {
		return nil, err
	}
	l := &layer{path: filepath.Join(dir, digest.Hex), digest: digest, diffID: diffID, size: size}
	err := os.Link(filepath.Join(s.folder, "blobs", digest.Algorithm, digest.Hex), l.path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return l, nil
}
