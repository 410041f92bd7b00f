package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/builder"
)

// Store is where an environment takes its image from: an engine's image store, or a folder.
type Store interface {
	// pull gets an image from its registry under a name. secret is the Docker configuration with our credentials.
	pull(ctx context.Context, reference, name string, secret []byte, output io.Writer) error
	// put takes an image that an engine built, under a name.
	put(ctx context.Context, image v1.Image, name string) error
	// shown is how a person names the image in here.
	shown(name string) string
}

// EngineStore is an engine's image store.
type EngineStore struct{ Engine builder.Engine }

func (s EngineStore) pull(ctx context.Context, reference, name string, secret []byte, output io.Writer) error {
	folder, err := privateConfig(secret, s.Engine.Name() != builder.Podman)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := s.Engine.Pull(ctx, reference, folder, output); err != nil {
		return err
	}
	if err := s.Engine.Tag(ctx, reference, name); err != nil {
		return fmt.Errorf("tag image: %w", err)
	}
	return nil
}

func (s EngineStore) put(ctx context.Context, image v1.Image, name string) error {
	return s.Engine.Load(ctx, image, name)
}

func (s EngineStore) shown(name string) string { return name }

// LayoutStore is a folder in the OCI image layout. It needs no engine, so a hit needs none either.
type LayoutStore struct{ Folder string }

// annotationName names an image in a layout:
// https://github.com/opencontainers/image-spec/blob/main/annotations.md
const annotationName = "org.opencontainers.image.ref.name"

func (s LayoutStore) pull(ctx context.Context, reference, imageName string, secret []byte, _ io.Writer) error {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	auth, err := AuthenticatorFor(secret, digest.Context().RegistryStr())
	if err != nil {
		return err
	}
	image, err := remote.Image(digest, remote.WithContext(ctx), remote.WithAuth(auth))
	if err != nil {
		return fmt.Errorf("pull image: %w", err)
	}
	return s.put(ctx, image, imageName)
}

// put replaces an image of the same name.
func (s LayoutStore) put(_ context.Context, image v1.Image, imageName string) error {
	folder, err := s.open()
	if err == nil {
		err = folder.ReplaceImage(image, match.Name(imageName), layout.WithAnnotations(map[string]string{annotationName: imageName}))
	}
	if err != nil {
		return fmt.Errorf("write image layout: %w", err)
	}
	return nil
}

func (s LayoutStore) open() (layout.Path, error) {
	if _, err := os.Stat(filepath.Join(s.Folder, "index.json")); errors.Is(err, fs.ErrNotExist) {
		return layout.Write(s.Folder, empty.Index)
	}
	return layout.FromPath(s.Folder)
}

func (s LayoutStore) shown(name string) string { return "oci:" + s.Folder + ":" + name }
