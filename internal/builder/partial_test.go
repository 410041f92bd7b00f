package builder

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

func TestSharedLayersAreTheLowest(t *testing.T) {
	diffIDs := make([]v1.Hash, 3)
	for n, digit := range []string{"a", "b", "c"} {
		diffIDs[n] = v1.Hash{Algorithm: "sha256", Hex: digit}
	}
	for name, test := range map[string]struct {
		layers []string
		want   int
	}{
		"none":                   {nil, 0},
		"another base":           {[]string{"sha256:x", "sha256:b"}, 0},
		"the base":               {[]string{"sha256:a"}, 1},
		"the base, then another": {[]string{"sha256:a", "sha256:x", "sha256:c"}, 1},
		"all, and more":          {[]string{"sha256:a", "sha256:b", "sha256:c", "sha256:d"}, 3},
		"the upper ones":         {[]string{"sha256:b", "sha256:c"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sharedLayers(test.layers, diffIDs); got != test.want {
				t.Errorf("%d layers, want %d", got, test.want)
			}
		})
	}
}

// unread is a layer that must not be read.
type unread struct{ v1.Layer }

func (unread) Compressed() (io.ReadCloser, error) { return nil, errors.New("it is read") }

type unreadImage struct {
	v1.Image
	held int
}

func (i unreadImage) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	for n := range min(i.held, len(layers)) {
		layers[n] = unread{layers[n]}
	}
	return layers, err
}

func TestArchiveLeavesOutTheLayersThatAStoreHas(t *testing.T) {
	image, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeAbove(&out, unreadImage{image, 2}, "web:1", 2); err != nil {
		t.Fatal(err)
	}
	config, _ := image.ConfigName()
	var files []string
	for reader := tar.NewReader(&out); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, header.Name)
		if header.Name != "manifest.json" {
			continue
		}
		var listed []struct {
			Config           string
			RepoTags, Layers []string
		}
		if err := json.NewDecoder(reader).Decode(&listed); err != nil {
			t.Fatal(err)
		}
		if len(listed) != 1 || listed[0].Config != config.Hex+".json" || !slices.Equal(listed[0].RepoTags, []string{"web:1"}) ||
			!slices.Equal(listed[0].Layers, []string{"0/layer.tar", "1/layer.tar", "2/layer.tar"}) {
			t.Errorf("the archive lists %+v", listed)
		}
	}
	if want := []string{"manifest.json", config.Hex + ".json", "2/layer.tar"}; !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
}

func TestTakesZstd(t *testing.T) {
	for server, want := range map[string]bool{
		"20.10.24": false, "22.06.0-beta.0": false, "23.0.0": true, "28.5.2": true, "29.1.0-rc.1": true,
		"dev": true, // tells nothing
	} {
		if got := TakesZstd(&program{name: Docker, server: server}); got != want {
			t.Errorf("Docker %q takes zstd: %t, want %t", server, got, want)
		}
	}
	if TakesZstd(&program{name: Podman}) {
		t.Error("podman takes zstd, and can't save the image then")
	}
}

// A store's images may be removed while they are inspected, and podman fails for some that it lists.
func TestHeldIsWhatTheInspectedImagesShow(t *testing.T) {
	diffIDs := []v1.Hash{{Algorithm: "sha256", Hex: "a"}, {Algorithm: "sha256", Hex: "b"}}
	for name, test := range map[string]struct {
		listed, inspected string // what a shell runs
		want              int
		fails             bool
	}{
		"no image":              {"true", "exit 1", 0, false},
		"some":                  {"echo 1; echo 2; echo 1", `[ $# = 6 ] && echo '["sha256:a"]' && echo '["sha256:a","sha256:b","sha256:c"]'`, 2, false},
		"one can't be read":     {"echo 1; echo 2", `echo '["sha256:a"]'; exit 125`, 1, false},
		"none can be read":      {"echo 1", "exit 125", 0, true},
		"an image with nothing": {"echo 1", "echo null", 0, false},
		"half an answer":        {"echo 1; echo 2", `printf '["sha256:a'; exit 125`, 0, true},
		"no list":               {"exit 125", "exit 125", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), Podman)
			script := "#!/bin/sh\ncase $2 in ls) " + test.listed + " ;; inspect) " + test.inspected + " ;; esac\n"
			if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := Held(t.Context(), &program{name: Podman, path: path}, diffIDs)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("%d layers, %v; want %d", got, err, test.want)
			}
		})
	}
}
