package cache

import (
	"strings"
	"testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/publication"
)

func TestCachedKey(t *testing.T) {
	key := func(hash string, inputs ...v1alpha1.KeyInput) v1alpha1.DevcontainerImage {
		return v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{ConfigHash: hash, Inputs: inputs}}
	}
	input := v1alpha1.KeyInput{Name: "BuildContext main.go", Digest: "sha256:1"}
	requests := keysOfRequests([]v1alpha1.DevcontainerImage{key("aaaa1", input), key("aaaa1", input), key("aaaa2", input), key("bbbb")})
	images := keysOfImages([]catalog.Image{
		{Hash: "aaaa1", Platform: "linux/arm64", Inputs: []publication.Input{{Name: "BuildContext main.go", Digest: "sha256:1"}}},
		{Hash: "aaaa2", Inputs: []publication.Input{{Name: "Dockerfile"}}}, {Hash: "bbbb"},
	})
	for name, keys := range map[string][]*hashed{"requests": requests, "images": images} {
		found, err := cachedKey(keys, "aaaa1")
		if err != nil || found == nil || found.Hash != "aaaa1" || !found.told || len(found.Inputs) != 1 || found.Inputs[0].Digest != input.Digest {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
		if _, err := cachedKey(keys, "aaaa"); err == nil || !strings.Contains(err.Error(), "several cached images") {
			t.Errorf("%s: an ambiguous hash: %v", name, err)
		}
		for _, wanted := range []string{"bbbb", "cccc"} {
			if found, err := cachedKey(keys, wanted); found != nil || err != nil {
				t.Errorf("%s: %s: %+v, %v; want nothing", name, wanted, found, err)
			}
		}
	}
}
