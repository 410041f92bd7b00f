package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// firstWithZstd is the first major version of Docker that reads layers in zstd:
// https://docs.docker.com/engine/release-notes/23.0/
const firstWithZstd = 23

// TakesZstd reports whether an engine reads layers in zstd, and can do everything with an image that it pulled so.
// podman 4.3 can't: it fails to save or push it in Docker's format, in which it saves if none is named:
// https://github.com/containers/image/issues/1260
func TakesZstd(engine Engine) bool {
	p, ok := engine.(*program)
	return !ok || p.name != Podman && !isOlder(p.server, firstWithZstd, 0)
}

// FindsByDiffIDs reports whether an engine finds layers that it has by their diff IDs: podman does, and Docker's graph
// drivers do when an image is loaded, but not when it is pulled. It may wait for the engine's answer.
func FindsByDiffIDs(engine Engine) bool {
	p, ok := engine.(*program)
	return ok && (p.name == Podman || GraphDriver(engine))
}

// Held returns how many of an image's lowest layers an engine's store has, named by their diff IDs. It is 0 for a
// store that does not find layers by them. Images that the engine can't inspect don't count: one may be removed
// meanwhile, and podman lists manifest lists that have no image for this platform.
func Held(ctx context.Context, engine Engine, diffIDs []v1.Hash) (int, error) {
	p, ok := engine.(*program)
	if !ok || !FindsByDiffIDs(engine) {
		return 0, nil
	}
	list := []string{"image", "ls", "--quiet", "--no-trunc"}
	if p.name == Docker {
		list = append(list, "--all") // Docker 29 hides images without a name; podman hides only those below others
	}
	listed, err := p.output(ctx, list...)
	if err != nil {
		return 0, fmt.Errorf("list images: %w", err)
	}
	ids := strings.Fields(listed)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return 0, nil
	}
	printed, err := p.output(ctx, append([]string{"image", "inspect", "--format", "{{json .RootFS.Layers}}"}, ids...)...)
	if err != nil && printed == "" {
		return 0, fmt.Errorf("list layers: %w", err)
	}
	held := 0
	for line := range strings.Lines(printed) {
		var layers []string
		if err := json.Unmarshal([]byte(line), &layers); err != nil {
			return 0, fmt.Errorf("list layers: %w", err)
		}
		held = max(held, sharedLayers(layers, diffIDs))
	}
	return held, nil
}

// sharedLayers returns how many layers two images have in common, from the lowest on.
func sharedLayers(layers []string, diffIDs []v1.Hash) int {
	shared := 0
	for shared < min(len(layers), len(diffIDs)) && layers[shared] == diffIDs[shared].String() {
		shared++
	}
	return shared
}

// LoadAbove puts an image into a graph driver's store under a name. The store has the lowest held layers of it, which
// are not read. It fails if the store does not have them any more. The others may be compressed in any way that the
// engine reads: it decompresses the files of an archive, and compares the layers with their diff IDs.
func LoadAbove(ctx context.Context, engine Engine, image v1.Image, name string, held int) error {
	p, ok := engine.(*program)
	if !ok {
		return fmt.Errorf("load image %s: %w", name, ErrNotSupported)
	}
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(writeAbove(writer, image, name, held)) }()
	c := command{path: p.path, arguments: []string{"load", "--quiet"}, stdin: reader}
	err := p.runWithFolder(ctx, c)
	_ = reader.Close() // ends the writer where the engine did not read all
	if err != nil {
		return fmt.Errorf("load image %s: %w", name, err)
	}
	return nil
}

// writeAbove writes what "docker save" writes, without the files of the lowest layers:
// https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
func writeAbove(out io.Writer, image v1.Image, name string, held int) error {
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return err
	}
	type entry struct {
		Config           string
		RepoTags, Layers []string
	}
	listed := entry{Config: digest.Hex + ".json", RepoTags: []string{name}, Layers: make([]string, len(layers))}
	for n := range layers {
		listed.Layers[n] = fmt.Sprintf("%d/layer.tar", n)
	}
	manifest, err := json.Marshal([]entry{listed})
	if err != nil {
		return err
	}
	w := layoutWriter{tar.NewWriter(out), nil}
	if err := errors.Join(w.file("manifest.json", manifest), w.file(listed.Config, config)); err != nil {
		return err
	}
	for n, layer := range layers[held:] {
		if err := w.content(listed.Layers[held+n], layer); err != nil {
			return fmt.Errorf("layer %d: %w", held+n+1, err)
		}
	}
	return w.Close()
}
