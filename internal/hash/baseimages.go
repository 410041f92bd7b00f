package hash

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
)

// baseImages adds the digests of the images that a build starts from or
// copies from. One that names its digest is covered by the file that names it.
func (m *maker) baseImages(ctx context.Context, recipe *dockerfile.Recipe) error {
	var floating []dockerfile.Image
	seen := map[string]bool{}
	for _, image := range recipe.Images {
		if !image.Pinned() && !seen[imageKey(image)] {
			seen[imageKey(image)] = true
			floating = append(floating, image)
		}
	}
	if !m.wants(InputBaseImages) {
		for _, image := range floating {
			m.warn(Warning{Code: BaseImageNotPinned, Setting: InputBaseImages, Path: m.imagePath(), Line: image.Line},
				"the image %s may be another one tomorrow, under the same hash", image.Reference)
		}
		return nil
	}
	inputs := make([]Input, len(floating))
	group, ctx := errgroup.WithContext(ctx)
	for i, image := range floating {
		group.Go(func() error {
			platform := image.Platform
			if platform == "" {
				platform = m.key.Platform
			}
			digest, err := m.options.Resolve(ctx, image.Reference, platform)
			if err != nil {
				return fmt.Errorf("%s: resolve %s: %w", InputBaseImages, image.Reference, err)
			}
			inputs[i] = Input{Name: InputBaseImages, Path: imageKey(image), Digest: digest}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	m.add(inputs...)
	return nil
}

// imageKey names an image with the platform, where the Dockerfile says one.
func imageKey(image dockerfile.Image) string {
	return strings.TrimSpace(image.Reference + " " + image.Platform)
}

func (m *maker) imagePath() string {
	if m.configuration.Type == devcontainer.TypeDockerfile {
		return m.configuration.Dockerfile
	}
	if m.service != nil {
		return m.service.Files[0].Path
	}
	return m.configuration.Path
}

// resolveNow asks the image's registry, by a request without a body.
func resolveNow(ctx context.Context, reference, _ string) (string, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	descriptor, err := remote.Head(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", err
	}
	return descriptor.Digest.String(), nil
}
