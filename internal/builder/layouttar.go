package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/imagelayout"
)

// containerdName is the annotation with the name that containerd gives a loaded image:
// https://github.com/containerd/containerd/blob/main/core/images/annotations.go
const containerdName = "io.containerd.image.name"

// LoadBlobs streams the image as an OCI layout to "docker load", which keeps manifest and blobs as they are.
func (p *program) LoadBlobs(ctx context.Context, image v1.Image, name string, without func(digest v1.Hash) bool) error {
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(writeLayout(writer, image, name, without)) }()
	c := command{path: p.path, arguments: []string{"load", "--quiet"}, stdin: reader}
	err := p.runWithFolder(ctx, c)
	_ = reader.Close() // ends the writer where the engine did not read all
	if err != nil {
		return fmt.Errorf("load blobs of image %s: %w", name, err)
	}
	return nil
}

// LoadBlobs puts the image as a whole: a layout copies no blob that it has.
func (e *embedded) LoadBlobs(ctx context.Context, image v1.Image, name string, _ func(digest v1.Hash) bool) error {
	return e.Load(ctx, image, name)
}

// layoutWriter writes an OCI layout as a tar archive:
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md
type layoutWriter struct {
	*tar.Writer
	written map[v1.Hash]bool
}

// writeLayout writes an image as an archive, without some of its layers.
func writeLayout(out io.Writer, image v1.Image, name string, without func(digest v1.Hash) bool) error {
	w := layoutWriter{tar.NewWriter(out), map[v1.Hash]bool{}}
	if err := w.file(imagelayout.MarkerFile, []byte(imagelayout.Marker)); err != nil {
		return err
	}
	if err := w.index(image, name); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		if w.written[digest] || without(digest) {
			continue
		}
		w.written[digest] = true
		if err := w.layer(digest, layer); err != nil {
			return fmt.Errorf("layer %s: %w", digest, err)
		}
	}
	return w.Close()
}

// index writes the index, the manifest and the configuration.
func (w layoutWriter) index(image v1.Image, name string) error {
	parsed, err := reference.ParseReference(name, reference.WithDefaultRegistry("docker.io"))
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: mediaType, Digest: digest, Size: size,
			Annotations: map[string]string{containerdName: parsed.Name(), imagelayout.NameAnnotation: parsed.Identifier()},
		}},
	})
	if err != nil {
		return err
	}
	return errors.Join(w.file(imagelayout.IndexFile, index), w.blob(manifest), w.blob(config))
}

func (w layoutWriter) file(name string, content []byte) error {
	if err := w.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

func (w layoutWriter) header(name string, size int64) error {
	return w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg})
}

func (w layoutWriter) blob(content []byte) error {
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return err
	}
	return w.file(imagelayout.BlobPath(digest), content)
}

func (w layoutWriter) layer(digest v1.Hash, layer v1.Layer) error {
	return w.content(imagelayout.BlobPath(digest), layer)
}

// content writes a layer, as it is compressed, into a file.
func (w layoutWriter) content(name string, layer v1.Layer) error {
	size, err := layer.Size()
	if err != nil {
		return err
	}
	content, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if err := w.header(name, size); err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}
