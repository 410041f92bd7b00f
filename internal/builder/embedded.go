package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/imageconfig"
	"imagecache.dev/internal/imagelayout"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/priority"
	"imagecache.dev/internal/savedimage"
)

// StoreVariable names the environment variable with the embedded builder's
// folder; without it, a folder of the user's cache is taken.
const StoreVariable = "IMAGECACHE_EMBEDDED_STORE"

// embedded builds what needs no engine: configurations that take a base image
// as it is. Its image store is a folder in the OCI image layout.
type embedded struct {
	store imagelayout.Store
}

func findEmbedded() (*embedded, error) {
	folder := os.Getenv(StoreVariable)
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w: the embedded builder needs a folder: set %s: %w", ErrNoEngine, StoreVariable, err)
		}
		folder = filepath.Join(cache, "imagecache", "images")
	}
	return &embedded{store: imagelayout.Store{Folder: folder}}, nil
}

func (e *embedded) Name() string { return Embedded }

func (e *embedded) Ready() error { return nil }

// Build puts the base image with the configuration's metadata into the store.
// The base image comes from its registry, so NoCache makes no difference.
func (e *embedded) Build(ctx context.Context, r Request) (*Result, error) {
	start := time.Now()
	configuration, err := devcontainer.Load(r.Workspace, r.ConfigPath)
	if err != nil {
		return nil, err
	}
	if configuration.Type != devcontainer.TypeImage || len(configuration.Features) > 0 {
		return nil, fmt.Errorf(
			"build dev container: %w: the embedded builder takes configurations with an image and without Features; use docker or podman",
			ErrNotSupported,
		)
	}
	if r.Logs != nil {
		_, _ = fmt.Fprintf(r.Logs, "Taking base image %s\n", configuration.Image)
	}
	image, err := fetch(ctx, configuration.Image, r.Platform, r.DockerConfigDir)
	if err != nil {
		return nil, &BuildError{Message: message.Line(err.Error(), maxWords)}
	}
	if image, err = withMetadata(image, configuration); err != nil {
		return nil, fmt.Errorf("build dev container: %w", err)
	}
	if err := e.store.Put(ctx, image, r.ImageName); err != nil {
		return nil, fmt.Errorf("build dev container: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("build dev container: %w", err)
	}
	return &Result{ImageName: r.ImageName, ImageID: digest.String(), Duration: time.Since(start)}, nil
}

// fetch reads an image from its registry; its layers are read when they are used.
func fetch(ctx context.Context, reference, platform, dockerConfigDir string) (v1.Image, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", reference, err)
	}
	wanted := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if platform != "" {
		given, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, fmt.Errorf("pull %s: %w", reference, err)
		}
		wanted = *given
	}
	image, err := remote.Image(
		parsed, remote.WithContext(ctx), remote.WithPlatform(wanted),
		remote.WithAuthFromKeychain(dockerconfig.Keychain(dockerConfigDir)),
	)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", reference, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", reference, err)
	}
	if config.OS != wanted.OS || config.Architecture != wanted.Architecture {
		return nil, fmt.Errorf("pull %s: it is for %s/%s, want %s", reference, config.OS, config.Architecture, wanted)
	}
	return image, nil
}

// withMetadata adds the configuration's entry to the label of its base.
func withMetadata(image v1.Image, configuration *devcontainer.Configuration) (v1.Image, error) {
	entry := configuration.Metadata()
	if entry == nil {
		return image, nil
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	label, err := json.Marshal(append(metadataEntries(config.Config.Labels[devcontainer.MetadataLabel]), entry))
	if err != nil {
		return nil, err
	}
	return imageconfig.Edit{Labels: map[string]string{devcontainer.MetadataLabel: string(label)}}.Image(image)
}

// metadataEntries reads a label, which may be an array or a single entry. As
// in the reference CLI, one that can't be read counts as empty.
func metadataEntries(label string) []json.RawMessage {
	var entries []json.RawMessage
	if json.Unmarshal([]byte(label), &entries) == nil {
		return entries
	}
	var single map[string]json.RawMessage
	if json.Unmarshal([]byte(label), &single) == nil && single != nil {
		return []json.RawMessage{json.RawMessage(label)}
	}
	return nil
}

func (e *embedded) Save(
	ctx context.Context, name, dir string, format compression.Format, _ func(int64),
) (v1.Image, error) {
	var image v1.Image
	var err error
	priority.Do(ctx, func() { image, err = savedimage.FromLayout(ctx, e.store, name, dir, format) })
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	return image, nil
}

func (e *embedded) Load(ctx context.Context, image v1.Image, name string) error {
	if err := e.store.Put(ctx, image, name); err != nil {
		return fmt.Errorf("load image %s: %w", name, err)
	}
	return nil
}

func (e *embedded) Pull(ctx context.Context, reference, dockerConfigDir string, logs io.Writer) error {
	image, err := fetch(ctx, reference, "", dockerConfigDir)
	if err != nil {
		return err
	}
	if logs != nil {
		_, _ = fmt.Fprintf(logs, "Pulling %s\n", reference)
	}
	if err := e.store.Put(ctx, image, reference); err != nil {
		return fmt.Errorf("pull %s: %w", reference, err)
	}
	return nil
}

func (e *embedded) Tag(ctx context.Context, source, target string) error {
	if err := e.store.Tag(ctx, source, target); err != nil {
		return fmt.Errorf("tag %s as %s: %w", source, target, err)
	}
	return nil
}

func (e *embedded) Remove(ctx context.Context, name string) error {
	if err := e.store.Remove(ctx, name); err != nil {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}
