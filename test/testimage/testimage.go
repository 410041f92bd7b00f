// Package testimage makes images for tests.
package testimage

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Random returns an image of random layers with Docker's manifest, each of size bytes, for linux/amd64 unless change
// changes its configuration.
func Random(t testing.TB, size, layers int64, change ...func(config *v1.ConfigFile)) v1.Image {
	t.Helper()
	image, err := random.Image(size, layers)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	for _, c := range change {
		c(config)
	}
	image, err = mutate.ConfigFile(mutate.MediaType(image, types.DockerManifestSchema2), config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
