package outgoing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/intake"
)

// pushed is what a push ended with.
type pushed struct {
	tagged intake.Manifest
	all    []intake.Manifest
}

// image returns the manifest of the image: the one under the tag, or of an index the only image, or else the one for this
// machine. What BuildKit attaches to an image, as its provenance, is no image.
func (p pushed) image() (*v1.Manifest, error) {
	if !types.MediaType(p.tagged.MediaType).IsIndex() {
		return parse(p.tagged)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(p.tagged.Content))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	var images []intake.Manifest
	for _, described := range index.Manifests {
		if described.Annotations["vnd.docker.reference.type"] != "" || !described.MediaType.IsImage() {
			continue
		}
		for _, m := range p.all {
			if m.Digest != described.Digest {
				continue
			}
			if on := described.Platform; on != nil && on.OS == "linux" && on.Architecture == runtime.GOARCH {
				images = append([]intake.Manifest{m}, images...)
			} else {
				images = append(images, m)
			}
		}
	}
	if len(images) == 0 {
		return nil, errors.New("the engine pushed an index without an image")
	}
	return parse(images[0])
}

func parse(m intake.Manifest) (*v1.Manifest, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(m.Content))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return manifest, nil
}

// mustWrite reports whether a layer of the manifest can't be published as the store has it.
func (e *Engine) mustWrite(manifest *v1.Manifest, digest v1.Hash) bool {
	for _, layer := range manifest.Layers {
		if layer.Digest == digest {
			return !e.Keeps(string(layer.MediaType))
		}
	}
	return false
}

// readSmall returns the content of a blob that is a JSON document, and else nil and a reader of all of the blob. No layer
// is one: it begins with a magic number or with a tar header, which has zero bytes.
func readSmall(content io.Reader) (small []byte, all io.Reader, err error) {
	buffered := bufio.NewReaderSize(content, 256<<10)
	first, err := buffered.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if len(first) == 0 || first[0] != '{' {
		return nil, buffered, nil
	}
	start, err := io.ReadAll(io.LimitReader(buffered, maxSmall+1))
	if err != nil {
		return nil, nil, err
	}
	if len(start) <= maxSmall && json.Valid(start) {
		return start, nil, nil
	}
	return nil, io.MultiReader(bytes.NewReader(start), buffered), nil
}
