// Package imagelayout keeps images in a folder in the OCI image layout:
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md
//
// Processes may use one folder at the same time: locks in the folder keep them apart, and every file appears as a whole
// or not at all, however a process ends. Other programs that write to the folder know nothing of the locks.
package imagelayout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"imagecache.dev/internal/filelock"
)

// Store is a folder of images, each under a name. The folder appears with the first image.
type Store struct{ Folder string }

// Put adds an image under a name, which another image may have had. It blocks while it reads the image's layers, those
// that the store has excepted. Processes write layers side by side.
func (s Store) Put(ctx context.Context, image v1.Image, name string) error {
	unlock, err := s.lock(ctx, blobsLock, filelock.Shared)
	if err != nil {
		return err
	}
	defer unlock() // after the index names the blobs
	if err := s.writeImage(image); err != nil {
		return err
	}
	descriptor, err := partial.Descriptor(image)
	if err != nil {
		return err
	}
	return s.changeIndex(ctx, func(index *v1.IndexManifest) error {
		set(index, *descriptor, name)
		return nil
	})
}

// Tag gives an image another name, which another image may have had. source is a name of it, or its digest. The error
// is fs.ErrNotExist where no image has that.
func (s Store) Tag(ctx context.Context, source, target string) error {
	return s.changeIndex(ctx, func(index *v1.IndexManifest) error {
		for _, descriptor := range index.Manifests {
			if named(source)(descriptor) {
				set(index, descriptor, target)
				return nil
			}
		}
		return absent(source)
	})
}

// View calls read with the image of a name or a digest, whose content other processes don't remove before read returns.
// The error is fs.ErrNotExist where no image has that, or that of read.
func (s Store) View(ctx context.Context, name string, read func(image v1.Image) error) error {
	unlock, err := s.lock(ctx, blobsLock, filelock.Shared)
	if err != nil {
		return err
	}
	defer unlock()
	index, err := layout.ImageIndexFromPath(s.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return absent(name)
	}
	if err != nil {
		return err
	}
	images, err := partial.FindImages(index, named(name))
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return absent(name)
	}
	return read(images[0])
}

// Remove takes a name away, and removes the blobs that no image has. Blobs stay until a later call while another
// process reads or adds an image. A name that no image has is no error.
func (s Store) Remove(ctx context.Context, name string) error {
	err := s.changeIndex(ctx, func(index *v1.IndexManifest) error {
		drop(index, name)
		return nil
	})
	if err != nil {
		return err
	}
	return s.collect()
}

// named matches the image with a name, or with a digest.
func named(name string) match.Matcher {
	if digest, err := v1.NewHash(name); err == nil {
		return match.Digests(digest)
	}
	return match.Name(name)
}

func absent(name string) error { return fmt.Errorf("image %s: %w", name, fs.ErrNotExist) }

// The locks, from the outer to the inner: whoever holds both took them in this order.
const (
	// blobsLock is shared while a process reads or adds blobs, and exclusive while one removes them.
	blobsLock = ".imagecache-blobs.lock"
	// indexLock is exclusive while a process changes the index, which takes milliseconds.
	indexLock = ".imagecache-index.lock"
)

// lock blocks until it has a lock of this folder. A file system without locks leaves it to the user to use the folder
// with one process at a time: an environment must come up there too.
func (s Store) lock(ctx context.Context, name string, mode filelock.Mode) (unlock func(), err error) {
	if err := os.MkdirAll(s.Folder, 0o755); err != nil {
		return nil, err
	}
	unlock, err = filelock.Lock(ctx, s.path(name), mode, nil)
	if errors.Is(err, errors.ErrUnsupported) {
		return func() {}, nil
	}
	return unlock, err
}
