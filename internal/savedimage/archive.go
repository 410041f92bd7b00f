package savedimage

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/priority"
)

// maxSmallEntry bounds what is kept of an archive in memory: manifest and
// configuration. A registry takes no larger ones.
const maxSmallEntry = 4 << 20

// archive is what "docker save" and "podman save" write, read in one pass:
// https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
type archive struct {
	dir    string
	small  map[string][]byte
	links  map[string]string
	pool   *compression.Pool
	ending errgroup.Group // layers that are read and not yet written

	mu     sync.Mutex
	layers map[string]*Layer
}

// ReadArchive reads an image out of an archive of docker or podman. Its layers go into dir, each compressed once. With
// a context of priority.Low it works at low priority.
func ReadArchive(
	ctx context.Context, content io.Reader, dir string, format compression.Format,
) (v1.Image, error) {
	a := &archive{
		dir: dir, small: map[string][]byte{}, layers: map[string]*Layer{}, links: map[string]string{},
		pool: compression.NewPool(ctx, format),
	}
	var err error
	priority.Do(ctx, func() { err = a.readAll(ctx, content) })
	if endErr := a.ending.Wait(); err == nil {
		err = endErr
	}
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	_, _ = io.Copy(io.Discard, content) // padding: the writer must not find a closed pipe
	image, err := a.image()
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return image, nil
}

func (a *archive) readAll(ctx context.Context, content io.Reader) error {
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = a.read(header, reader)
		}
		if err != nil {
			return err
		}
	}
}

func (a *archive) read(header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeSymlink:
		a.links[name] = path.Join(path.Dir(name), header.Linkname)
		return nil
	case tar.TypeLink:
		a.links[name] = path.Clean(header.Linkname)
		return nil
	case tar.TypeReg:
	default:
		return nil
	}
	var start []byte
	if header.Size <= maxSmallEntry {
		var err error
		if start, err = io.ReadAll(content); err != nil {
			return err
		}
		if json.Valid(start) {
			a.small[name] = start
			return nil
		}
		content = bytes.NewReader(start)
	}
	return a.readLayer(name, content)
}

// readLayer returns when a layer is read; the next one is read while it is written.
func (a *archive) readLayer(name string, content io.Reader) error {
	file, err := newLayerFile(a.dir)
	if err != nil {
		return fmt.Errorf("layer %s: %w", name, err)
	}
	if err := file.read(content, a.pool); err != nil {
		file.drop()
		return fmt.Errorf("layer %s: %w", name, err)
	}
	a.ending.Go(func() error {
		l, err := file.finish()
		if err != nil {
			return fmt.Errorf("layer %s: %w", name, err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.layers[name] = l
		return nil
	})
	return nil
}

// image puts the one image of the archive together.
func (a *archive) image() (v1.Image, error) {
	var manifests []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(a.small["manifest.json"], &manifests); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifests) != 1 {
		return nil, fmt.Errorf("want one image, found %d", len(manifests))
	}
	config := a.small[path.Clean(manifests[0].Config)]
	if config == nil {
		return nil, fmt.Errorf("configuration %s is not there", manifests[0].Config)
	}
	var layers []*Layer
	for _, name := range manifests[0].Layers {
		l := a.layer(path.Clean(name))
		if l == nil {
			return nil, fmt.Errorf("layer %s is not there", name)
		}
		layers = append(layers, l)
	}
	return New(config, layers)
}

// layer follows the links by which older engines share layers.
func (a *archive) layer(name string) *Layer {
	for range len(a.links) + 1 {
		if l := a.layers[name]; l != nil {
			return l
		}
		name = a.links[name]
	}
	return nil
}
