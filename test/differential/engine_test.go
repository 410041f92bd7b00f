package differential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
	"imagecache.dev/internal/savedimage"
	"imagecache.dev/test/containerenv"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

// kinds are the engines that keys are compared with: buildah, and the BuildKit of a current Docker.
var kinds = []engine.Kind{engine.Podman, engine.Docker28Containerd}

// builtImage returns a name for what the reference CLI builds, each time another one: where an image replaces another,
// Docker may remove layers that the next build has begun to use.
func builtImage() string {
	return fmt.Sprintf("localhost/imagecache-test/differential:%d", builtImages.Add(1))
}

var builtImages atomic.Int64

// envVariables are the variables of the second base image.
var envVariables = []string{"WHAT=src", "FOLDER=lib"}

// long reports whether a run takes all the time that it needs.
func long() bool { return os.Getenv("IMAGECACHE_LONG") != "" }

// machine is an engine that builds for the tests.
type machine struct {
	*engine.Engine
	// base and env are the names of the base images, which are in the engine's store and in a registry.
	base, env string
	bases     *bases
	cli       builder.Engine // nil where builds go without the reference CLI
}

// bases are the base images, by name, which a registry has.
type bases struct {
	host, base, env string
	images          map[string]v1.Image
	noted           [2]string // digests of a Feature's two contents
}

// startRegistry starts a registry with the base images.
func startRegistry(t *testing.T) *bases {
	t.Helper()
	busybox, err := containerenv.FindBusybox()
	if err != nil {
		if os.Getenv(engine.Variable) != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	base, err := containerenv.BaseImage(busybox)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	b := &bases{host: host, base: host + "/base:1", env: host + "/env:1", images: map[string]v1.Image{}}
	b.provide(t, b.base, base)
	b.provide(t, b.env, configured(t, base, func(c *v1.Config) { c.Env = slices.Concat(c.Env, envVariables) }))
	return b
}

// provide adds an image.
func (b *bases) provide(t *testing.T, reference string, image v1.Image) {
	t.Helper()
	tag, err := name.NewTag(reference)
	if err == nil {
		err = remote.Write(tag, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.images[reference] = image
}

// startMachine starts an engine with the base images, or skips the test as engine.Start does.
func startMachine(t *testing.T, kind engine.Kind) *machine {
	t.Helper()
	return startMachineFor(t, kind, startRegistry(t))
}

func startMachineFor(t *testing.T, kind engine.Kind, b *bases) *machine {
	t.Helper()
	m := &machine{Engine: engine.Start(t, kind, b.host), base: b.base, env: b.env, bases: b}
	for reference, image := range b.images {
		m.Load(t, image, reference)
	}
	return m
}

// useCLI lets the machine build by the reference CLI. It changes environment variables, so the test can't be parallel.
func (m *machine) useCLI(t *testing.T) {
	t.Helper()
	enginetest.UseCLI(t)
	m.Use(t)
	found, err := builder.Find(t.Context(), m.Kind.Program())
	if err == nil {
		err = found.Ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.cli = found
}

// configured returns an image with another configuration.
func configured(t *testing.T, image v1.Image, change func(*v1.Config)) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	change(&config.Config)
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// build builds a workspace and returns what is in its image.
func (m *machine) build(t *testing.T, workspace string) (*image, error) {
	t.Helper()
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	if m.cli != nil {
		return m.buildByCLI(t, workspace, true)
	}
	return m.buildDirectly(t.Context(), configuration)
}

// buildDirectly builds what the reference CLI would, with the engine's own command. It saves the CLI's seconds.
func (m *machine) buildDirectly(ctx context.Context, c *devcontainer.Configuration) (*image, error) {
	dir, err := os.MkdirTemp("", "differential-") // a test's own folder may have a comma in its name
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, archive := filepath.Join(dir, "Dockerfile"), filepath.Join(dir, "image.tar")
	if err := os.WriteFile(file, dockerfile.Built(c.DockerfileRaw, c.Target), 0o600); err != nil {
		return nil, err
	}
	arguments := []string{"build", "--no-cache", "--layers=false"}
	if m.Kind.HasBuildKit() {
		arguments = []string{"buildx", "build", "--no-cache", "--progress=plain"}
	}
	arguments = append(arguments, "--output", "type=tar,dest="+archive, "--file", file, "--target", dockerfile.BuiltStage)
	for name, value := range c.Args {
		arguments = append(arguments, "--build-arg", name+"="+value)
	}
	arguments = append(append(arguments, c.Options...), filepath.Join(c.Workspace, c.Context))
	command := m.Command(ctx, arguments...)
	command.Dir = c.Workspace
	if said, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", m.Kind, err, said)
	}
	tar, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tar.Close() }()
	return readImage(tar)
}

// buildByCLI builds with the reference CLI, and adds the image's configuration to what is in it.
func (m *machine) buildByCLI(t *testing.T, workspace string, noCache bool) (*image, error) {
	t.Helper()
	var logs strings.Builder
	request := builder.Request{Workspace: workspace, ImageName: builtImage(), NoCache: noCache, Logs: &logs}
	if _, err := m.cli.Build(t.Context(), request); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", m.Kind, err, logs.String())
	}
	built, err := m.save(t, request.ImageName)
	if err != nil {
		return nil, err
	}
	flat := mutate.Extract(built)
	defer func() { _ = flat.Close() }()
	read, err := readImage(flat)
	if err != nil {
		return nil, err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	read.config(&config.Config)
	return read, nil
}

// save reads an image out of the engine's archive. Its layers are read once and from files, which builder.Engine's Save
// does not promise.
func (m *machine) save(t *testing.T, name string) (v1.Image, error) {
	t.Helper()
	arguments := []string{"save", name}
	if m.Kind == engine.Podman {
		arguments = []string{"save", "--format", "docker-archive", name}
	}
	command := m.Command(t.Context(), arguments...)
	archive, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	image, err := savedimage.ReadArchive(t.Context(), archive, t.TempDir(), compression.Gzip)
	return image, errors.Join(err, command.Wait())
}
