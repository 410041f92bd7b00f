package imagelayout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/match"

	"imagecache.dev/internal/filelock"
)

// NameAnnotation names an image in an index: https://github.com/opencontainers/image-spec/blob/main/annotations.md
const NameAnnotation = "org.opencontainers.image.ref.name"

// Marker is the content of the file MarkerFile, which makes a folder or an archive an image layout.
const (
	MarkerFile = "oci-layout"
	Marker     = `{"imageLayoutVersion":"1.0.0"}`
)

// IndexFile is the file that lists a layout's images.
const IndexFile = "index.json"

// changeIndex changes the list of images, which other processes don't change meanwhile.
func (s Store) changeIndex(ctx context.Context, change func(index *v1.IndexManifest) error) error {
	unlock, err := s.lock(ctx, indexLock, filelock.Exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeUnfinished(s.Folder); err != nil {
		return err
	}
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := change(index); err != nil {
		return err
	}
	content, err := json.MarshalIndent(index, "", "   ")
	if err != nil {
		return err
	}
	if err := s.replaceFile(MarkerFile, []byte(Marker)); err != nil {
		return err
	}
	return s.replaceFile(IndexFile, content)
}

// readIndex returns the list of images, which is empty in a new folder.
func (s Store) readIndex() (*v1.IndexManifest, error) {
	content, err := os.ReadFile(s.path(IndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return empty.Index.IndexManifest()
	}
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s is not a list of images: %w", s.path(IndexFile), err)
	}
	return index, nil
}

// set gives an image a name, and takes the name from others.
func set(index *v1.IndexManifest, image v1.Descriptor, name string) {
	drop(index, name)
	image.Annotations = maps.Clone(image.Annotations)
	if image.Annotations == nil {
		image.Annotations = map[string]string{}
	}
	image.Annotations[NameAnnotation] = name
	index.Manifests = append(index.Manifests, image)
}

func drop(index *v1.IndexManifest, name string) {
	index.Manifests = slices.DeleteFunc(index.Manifests, match.Name(name))
}

// replaceFile replaces a file of the folder in one step. Others may read it.
func (s Store) replaceFile(name string, content []byte) error {
	return create(s.path(name), func(file *os.File) error {
		_, err := file.Write(content)
		return errors.Join(err, file.Chmod(0o644))
	})
}

func (s Store) path(name string) string { return filepath.Join(s.Folder, name) }
