package imagelayout

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/filelock"
)

// BlobPath returns a blob's path in a layout, with slashes.
func BlobPath(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// Blob returns a blob's path.
func (s Store) Blob(digest v1.Hash) string { return s.path(filepath.FromSlash(BlobPath(digest))) }

// writeImage writes what the store lacks of an image: layers, configuration and manifest.
func (s Store) writeImage(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, layer := range layers {
		group.Go(func() error { return s.writeLayer(layer) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	return errors.Join(s.writeBytes(config), s.writeBytes(manifest))
}

func (s Store) writeLayer(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	size, err := layer.Size()
	if err != nil {
		return err
	}
	if err := s.writeBlob(digest, size, layer.Compressed); err != nil {
		return fmt.Errorf("layer %s: %w", digest, err)
	}
	return nil
}

func (s Store) writeBytes(content []byte) error {
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return err
	}
	return s.writeBlob(digest, size, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

// writeBlob writes a blob of size bytes, unless the store has it. It does not check the digest: registries' clients do.
func (s Store) writeBlob(digest v1.Hash, size int64, open func() (io.ReadCloser, error)) error {
	path := s.Blob(digest)
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == size {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	content, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	return create(path, func(file *os.File) error {
		written, err := io.Copy(file, content)
		if err == nil && written != size {
			err = fmt.Errorf("it has %d bytes, want %d", written, size)
		}
		return err
	})
}

// temporaryPrefix is that of files that are being written.
const temporaryPrefix = ".imagecache-new-"

// create writes a file that nobody sees before all of it is written.
func create(path string, write func(file *os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix)
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// collect removes the blobs that no image has, unless another process reads or adds one now.
func (s Store) collect() error {
	lock, err := os.OpenFile(s.path(blobsLock), os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // the file is empty
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	taken, err := filelock.Try(lock, filelock.Exclusive)
	if errors.Is(err, errors.ErrUnsupported) {
		taken, err = true, nil // see Store.lock
	}
	if !taken {
		return err
	}
	if _, err := os.Stat(s.path("blobs")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := removeUnfinished(s.path(filepath.Join("blobs", "sha256"))); err != nil {
		return err
	}
	folder := layout.Path(s.Folder)
	unused, err := folder.GarbageCollect() // it only lists them
	if err != nil {
		return err
	}
	for _, digest := range unused {
		if err := folder.RemoveBlob(digest); err != nil {
			return err
		}
	}
	return nil
}

// unfinished matches the files that a killed process left behind, also the blobs of earlier versions of imagecache,
// which added digits to the digest.
var unfinished = regexp.MustCompile(`^(` + regexp.QuoteMeta(temporaryPrefix) + `.*|[0-9a-f]{64}[0-9]+)$`)

// removeUnfinished removes the files of a folder that nobody writes any more. The caller holds the folder's lock.
func removeUnfinished(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if !unfinished.MatchString(entry.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
