package catalog

import (
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/publication"
)

// Nearest returns the image that has most inputs in common with a key, and the inputs in which the key differs from it:
// names and digests. Of several the first counts, and images are given with the newest first. It returns nil without an
// image of other inputs on the same platform.
func Nearest(images []Image, key string, platform string, inputs []publication.Input) (*Image, []hash.Difference) {
	var nearest *Image
	best := -1
	for i := range images {
		image := &images[i]
		if image.Hash == key || image.Platform != platform || len(image.Inputs) == 0 {
			continue
		}
		if equal := inCommon(image.Inputs, inputs); equal > best {
			nearest, best = image, equal
		}
	}
	if nearest == nil || len(inputs) == 0 {
		return nil, nil
	}
	return nearest, hash.Diff(hashInputs(nearest.Inputs), hashInputs(inputs))
}

func inCommon(a, b []publication.Input) int {
	known := make(map[publication.Input]bool, len(a))
	for _, input := range a {
		known[input] = true
	}
	equal := 0
	for _, input := range b {
		if known[input] {
			equal++
		}
	}
	return equal
}

func hashInputs(told []publication.Input) []hash.Input {
	inputs := make([]hash.Input, 0, len(told))
	for _, input := range told {
		inputs = append(inputs, hash.Input{Name: input.Name, Digest: input.Digest})
	}
	return inputs
}
