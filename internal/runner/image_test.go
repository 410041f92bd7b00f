package runner

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/publication"
)

var wanted = publication.Expectation{
	Hash: strings.Repeat("a", 64), HashVersion: 1, UID: "7d9e", Platform: "linux/amd64",
}

// builtImage is an image as an engine saves one: OCI media types, labels of its own.
func builtImage(t *testing.T, config v1.ConfigFile) v1.Image {
	t.Helper()
	image, err := random.Image(2000, 3)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.RootFS, config.History = drawn.RootFS, drawn.History
	if image, err = mutate.ConfigFile(mutate.MediaType(image, types.OCIManifestSchema1), &config); err != nil {
		t.Fatal(err)
	}
	return image
}

func TestCandidateIsWhatTheControllerAccepts(t *testing.T) {
	image := builtImage(t, v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: v1.Config{Labels: map[string]string{"devcontainer.metadata": "[]"}, User: "dev"},
	})
	built, err := newCandidate(image, labels(wanted, "env-1", 83*time.Second), wanted.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := built.check(wanted); err != nil {
		t.Errorf("the controller would refuse it: %v", err)
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(built.config, &config); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"devcontainer.metadata": "[]", imagelabel.BuildSeconds: "83", imagelabel.Environment: "env-1", imagelabel.UID: "7d9e",
	} {
		if got := config.Config.Labels[name]; got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	if config.Config.User != "dev" {
		t.Error("the rest of the configuration has to stay")
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(built.manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	got := []types.MediaType{manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType}
	want := []types.MediaType{types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer}
	if !slices.Equal(got, want) {
		t.Errorf("media types are %v, want %v", got, want)
	}
	if len(built.blobs) != 4 {
		t.Errorf("%d blobs, want the configuration and three layers", len(built.blobs))
	}
}

func TestCandidateKeepsCompressionAndSizeOfALayer(t *testing.T) {
	layer, err := random.Layer(500, types.OCILayerZStd)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, describedLayer{layer, map[string]string{
		imagelabel.UncompressedBytes: "1536", "org.example": "of another",
	}})
	if err != nil {
		t.Fatal(err)
	}
	built, err := newCandidate(image, labels(wanted, "env-1", time.Second), wanted.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := built.check(wanted); err != nil {
		t.Error(err)
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(built.manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	got := manifest.Layers[0]
	if got.MediaType != types.OCILayerZStd || !maps.Equal(got.Annotations, map[string]string{imagelabel.UncompressedBytes: "1536"}) {
		t.Errorf("the layer is %s with %v", got.MediaType, got.Annotations)
	}
}

// describedLayer is a layer with annotations.
type describedLayer struct {
	v1.Layer
	annotations map[string]string
}

func (l describedLayer) Descriptor() (*v1.Descriptor, error) {
	described, err := partial.Descriptor(l.Layer)
	if err != nil {
		return nil, err
	}
	described.Annotations = l.annotations
	return described, nil
}

func TestCandidatePlatform(t *testing.T) {
	without, err := newCandidate(builtImage(t, v1.ConfigFile{}), labels(wanted, "e", 0), wanted.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := without.check(wanted); err != nil {
		t.Errorf("an image without a platform gets the request's: %v", err)
	}
	other, err := newCandidate(builtImage(t, v1.ConfigFile{OS: "linux", Architecture: "arm64"}), labels(wanted, "e", 0), wanted.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.check(wanted); err == nil {
		t.Error("an image for another platform must not pass as one for this")
	}
}
