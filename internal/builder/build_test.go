package builder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/layerrecord"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/enginetest"
)

func workspaceOf(t *testing.T, files map[string]string) string {
	t.Helper()
	workspace := t.TempDir()
	for name, contents := range files {
		full := filepath.Join(workspace, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(contents), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

// metadataOf returns an image's label with the dev container's metadata.
func metadataOf(t *testing.T, image v1.Image) string {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.Config.Labels["devcontainer.metadata"]
}

func TestARealBuild(t *testing.T) {
	for _, kind := range engine.Asked(t) {
		t.Run(string(kind), testARealBuild(kind))
	}
}

func testARealBuild(kind engine.Kind) func(t *testing.T) {
	return func(t *testing.T) {
		e := enginetest.StartKind(t, kind)
		t.Run("goes to a registry and back", func(t *testing.T) { goesToARegistryAndBack(t, e, kind) })
		t.Run("comes out of the store as it did before", func(t *testing.T) { comesOutAsBefore(t, e) })
		t.Run("says in one line why it failed", func(t *testing.T) { saysWhyItFailed(t, e) })
		t.Run("ends with its context, and all its processes", func(t *testing.T) { endsWithItsContext(t, e) })
		t.Run("keeps builds with Features apart", func(t *testing.T) { keepsBuildsWithFeaturesApart(t, e) })
	}
}

// layersOf returns the digests of an image's layers.
func layersOf(t *testing.T, image v1.Image) (digests []string) {
	t.Helper()
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range manifest.Layers {
		digests = append(digests, layer.Digest.String())
	}
	return digests
}

// comesOutAsBefore takes an image out of the store for registries that have nothing, in turn in both formats: what was
// recorded of one must not be promised of the other, and what is promised must come.
func comesOutAsBefore(t *testing.T, e enginetest.Environment) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	workspace := workspaceOf(t, map[string]string{
		".devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`, "Dockerfile": "FROM " + e.Base + "\nRUN echo before >/before\n",
	})
	const built = "localhost/imagecache-test/before:1"
	if _, err := e.Engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: built}); err != nil {
		t.Fatal(err)
	}
	first := map[compression.Format][]string{}
	for _, format := range []compression.Format{compression.Gzip, compression.Zstd, compression.Zstd, compression.Gzip, compression.Zstd} {
		image, err := e.Engine.Save(t.Context(), built, t.TempDir(), format, nil)
		if err == nil {
			err = readLayers(image)
		}
		if err == nil {
			err = builder.Prove(t.Context(), image)
		}
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if layers := layersOf(t, image); first[format] == nil {
			first[format] = layers
		} else if !slices.Equal(first[format], layers) {
			t.Errorf("%s: layers %v, before %v", format, layers, first[format])
		}
	}
}

// readLayers reads the blob of every layer, and compares its digest.
func readLayers(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		want, err := layer.Digest()
		if err != nil {
			return err
		}
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		got, _, err := v1.SHA256(content)
		if err = errors.Join(err, content.Close()); err != nil || got != want {
			return fmt.Errorf("layer %s has the digest %s: %w", want, got, err)
		}
	}
	return nil
}

func goesToARegistryAndBack(t *testing.T, e enginetest.Environment, kind engine.Kind) {
	t.Helper()
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	ctx := t.Context()
	workspace := workspaceOf(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "remoteUser": "root"}`,
		".devcontainer/Dockerfile":        "FROM " + e.Base + "\nCOPY file /file\nRUN echo built > /built\n",
		".devcontainer/file":              "contents\n",
	})
	const built = "localhost/imagecache-test/first:1"
	var logs bytes.Buffer
	result, err := e.Engine.Build(ctx, builder.Request{Workspace: workspace, ImageName: built, Platform: "linux/amd64", Logs: &logs})
	if err != nil {
		t.Fatalf("Build: %v\n%s", err, logs.String())
	}
	if result.ImageName != built || result.Duration <= 0 {
		t.Errorf("Build: %+v", result)
	}
	image, err := e.Engine.Save(ctx, built, t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("Save: %v", err)
	}
	if err := builder.Prove(ctx, image); err != nil {
		t.Errorf("Prove: %v", err)
	}
	// An image that left the store by a push is recorded, one that was saved is not.
	graphDriver := slices.Contains([]engine.Kind{engine.Docker20, engine.Docker20Buildx, engine.Docker28Overlay}, kind)
	recorded := layerrecord.File{Path: filepath.Join(state, "imagecache", "layers.json")}.Read()
	if (len(recorded) == 0) != graphDriver {
		t.Errorf("%d layers are recorded", len(recorded))
	}
	if got := metadataOf(t, image); !strings.Contains(got, `"remoteUser":"root"`) {
		t.Errorf("metadata %q, want the remote user", got)
	}
	again, err := e.Engine.Save(ctx, built, t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if got, want := layersOf(t, again), layersOf(t, image); !slices.Equal(got, want) {
		t.Errorf("saved again: %s, want %s", got, want)
	}

	reference, err := name.NewTag(e.Registry + "/pushed:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	if err := e.Engine.Remove(ctx, built); err != nil {
		t.Fatal(err)
	}
	byDigest := reference.Context().Digest(digest.String()).String()
	if err := e.Engine.Pull(ctx, byDigest, "", nil); err != nil {
		t.Fatal(err)
	}
	const pulled = "localhost/imagecache-test/pulled:1"
	if err := e.Engine.Tag(ctx, byDigest, pulled); err != nil {
		t.Fatal(err)
	}
	back, err := e.Engine.Save(ctx, pulled, t.TempDir(), compression.Gzip, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := metadataOf(t, back); got != metadataOf(t, image) {
		t.Errorf("pulled metadata %q", got)
	}
	const loaded = "localhost/imagecache-test/loaded:1"
	if err := e.Engine.Load(ctx, back, loaded); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Engine.Remove(ctx, loaded); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
}

func saysWhyItFailed(t *testing.T, e enginetest.Environment) {
	t.Helper()
	// podman's, BuildKit's and Docker's words.
	for dockerfile, want := range map[string]string{
		"FROM " + e.Base + "\nRUN exit 3\n":          "exit status 3|exit code: 3|non-zero code: 3",
		"FROM " + e.Base + "\nCOPY nothing /\n":      "nothing",
		"FROM " + e.Registry + "/none:1\nRUN true\n": "none",
		"FROM scratch\nCOPY Dockerfile /\n":          "FROM scratch: name a base image",
	} {
		workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"dockerFile": "Dockerfile"}`, "Dockerfile": dockerfile})
		_, err := e.Engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "localhost/imagecache-test/failed:1"})
		var failed *builder.BuildError
		if !errors.As(err, &failed) || !regexp.MustCompile(want).MatchString(err.Error()) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "Command failed") {
			t.Errorf("Build: %v, want one line with %s", err, want)
		}
	}
}

func endsWithItsContext(t *testing.T, e enginetest.Environment) {
	t.Helper()
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"dockerFile": "Dockerfile"}`, "Dockerfile": "FROM " + e.Base + "\nRUN sleep 4321\n"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs := &trigger{word: "sleep 4321", pull: cancel}
	start := time.Now()
	_, err := e.Engine.Build(ctx, builder.Request{Workspace: workspace, ImageName: "localhost/imagecache-test/ended:1", Logs: logs})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Build: %v, want that it was cancelled", err)
	}
	t.Logf("ended after %v", time.Since(start))
	// The command line ends with a null byte after each argument.
	deadline := time.Now().Add(10 * time.Second)
	for running(t, "sleep\x004321") && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if running(t, "sleep\x004321") {
		t.Error("the build's step still runs")
	}
}

func keepsBuildsWithFeaturesApart(t *testing.T, e enginetest.Environment) {
	t.Helper()
	ctx := t.Context()
	var group sync.WaitGroup
	for _, word := range []string{"one", "two"} {
		workspace := workspaceOf(t, map[string]string{
			".devcontainer/devcontainer.json":             `{"image": "` + e.Base + `", "features": {"./say": {}}}`,
			".devcontainer/say/devcontainer-feature.json": `{"id": "say", "version": "1.0.0", "name": "say", "containerEnv": {"SAID": "` + word + `"}}`,
			".devcontainer/say/install.sh":                "#!/bin/sh\necho " + word + " > /said\n",
		})
		group.Go(func() {
			built := "localhost/imagecache-test/" + word + ":1"
			if _, err := e.Engine.Build(ctx, builder.Request{Workspace: workspace, ImageName: built}); err != nil {
				t.Error(err)
				return
			}
			image, err := e.Engine.Save(ctx, built, t.TempDir(), compression.Gzip, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if got := fileOf(t, image, "said"); got != word+"\n" {
				t.Errorf("image %s says %q", word, got)
			}
			if _, err := os.Stat(filepath.Join(workspace, ".devcontainer/devcontainer-lock.json")); err == nil {
				t.Error("the build left a lockfile in the workspace")
			}
		})
	}
	group.Wait()
}
