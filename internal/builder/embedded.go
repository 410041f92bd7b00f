package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/devcontainer"
)

// StoreVariable names the environment variable with the embedded builder's
// folder; without it, a folder of the user's cache is taken.
const StoreVariable = "IMAGECACHE_EMBEDDED_STORE"

// embedded builds what needs no engine: configurations that take a base image
// as it is. Its image store is a folder in the OCI image layout.
type embedded struct {
	store layoutStore
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
	return &embedded{store: layoutStore{folder: folder}}, nil
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
		return nil, fmt.Errorf("build dev container: %w: the embedded builder takes configurations with an image and without Features; use docker or podman", ErrNotSupported)
	}
	if r.Logs != nil {
		_, _ = fmt.Fprintf(r.Logs, "Taking base image %s\n", configuration.Image)
	}
	image, err := fetch(ctx, configuration.Image, r.Platform, r.DockerConfigDir)
	if err != nil {
		return nil, &BuildError{Message: shorten(err.Error())}
	}
	if image, err = withMetadata(image, configuration); err != nil {
		return nil, fmt.Errorf("build dev container: %w", err)
	}
	if err := e.store.put(ctx, image, r.ImageName); err != nil {
		return nil, fmt.Errorf("build dev container: %w", err)
	}
	return &Result{ImageName: r.ImageName, Duration: time.Since(start)}, nil
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
	image, err := remote.Image(parsed, remote.WithContext(ctx), remote.WithPlatform(wanted), remote.WithAuthFromKeychain(keychainOf(dockerConfigDir)))
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
	config = config.DeepCopy()
	if config.Config.Labels == nil {
		config.Config.Labels = map[string]string{}
	}
	label, err := json.Marshal(append(metadataEntries(config.Config.Labels[devcontainer.MetadataLabel]), entry))
	if err != nil {
		return nil, err
	}
	config.Config.Labels[devcontainer.MetadataLabel] = string(label)
	return mutate.ConfigFile(image, config)
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

func (e *embedded) Save(ctx context.Context, name, dir string, _ func(int64)) (v1.Image, error) {
	image, err := e.store.save(ctx, name, dir)
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", name, err)
	}
	return image, nil
}

func (e *embedded) Load(ctx context.Context, image v1.Image, name string) error {
	if err := e.store.put(ctx, image, name); err != nil {
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
	if err := e.store.put(ctx, image, reference); err != nil {
		return fmt.Errorf("pull %s: %w", reference, err)
	}
	return nil
}

func (e *embedded) Tag(ctx context.Context, source, target string) error {
	image, err := e.store.get(source)
	if err == nil {
		err = e.store.put(ctx, image, target)
	}
	if err != nil {
		return fmt.Errorf("tag %s as %s: %w", source, target, err)
	}
	return nil
}

func (e *embedded) Remove(ctx context.Context, name string) error {
	if err := e.store.remove(ctx, name); err != nil {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}

// keychain reads the credentials of one Docker configuration folder.
type keychain string

func keychainOf(dockerConfigDir string) authn.Keychain {
	if dockerConfigDir == "" {
		return authn.DefaultKeychain
	}
	return keychain(dockerConfigDir)
}

func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	file, err := config.Load(string(k))
	if err != nil {
		return nil, err
	}
	// Docker Hub goes by its old address: https://docs.docker.com/reference/cli/docker/login/
	key := target.RegistryStr()
	if key == name.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	found, err := file.GetAuthConfig(key)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(found.Username+found.Password+found.Auth+found.IdentityToken+found.RegistryToken) == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}
