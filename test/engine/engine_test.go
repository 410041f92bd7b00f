package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/test/containerenv"
	"imagecache.dev/test/engine"
)

func baseImage(t *testing.T) v1.Image {
	t.Helper()
	busybox, err := containerenv.FindBusybox()
	if err != nil && os.Getenv(engine.Variable) != "" {
		t.Fatal(err) // the engines are required, and so is their base image
	}
	if err != nil {
		t.Skip(err)
	}
	image, err := containerenv.BaseImage(busybox)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestEveryEngineBuildsAndRuns is what all tests with engines rest on.
func TestEveryEngineBuildsAndRuns(t *testing.T) {
	for _, kind := range engine.All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := engine.Start(t, kind)
			e.Load(t, baseImage(t), "localhost/base:1")
			e.Build(t, "localhost/built:1", "FROM localhost/base:1\nRUN id -u >/built\nLABEL built=yes\n")
			if got := e.Run(t, "run", "--rm", "localhost/built:1", "cat", "/built"); got != "0" {
				t.Errorf("the RUN step wrote %q, want 0", got)
			}
			if got := e.Run(t, "image", "inspect", "--format", `{{index .Config.Labels "built"}}`, "localhost/built:1"); got != "yes" {
				t.Errorf("label %q, want yes", got)
			}
			if kind.Program() == "docker" {
				_, err := e.Command(t.Context(), "buildx", "version").Output()
				if got := err == nil; got != kind.HasBuildKit() {
					t.Errorf("buildx works: %t, want %t", got, kind.HasBuildKit())
				}
			}
		})
	}
}

// TestDockerFindsImagesOfTheHub pulls a base image by the name that Docker Hub gives it, for a build that pulls anew and
// by itself.
func TestDockerFindsImagesOfTheHub(t *testing.T) {
	for _, kind := range engine.All {
		if kind.Program() != "docker" {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := engine.StartWith(t, kind, engine.Options{Hub: map[string]v1.Image{"busybox:stable": baseImage(t)}})
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM busybox:stable\nRUN true\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			e.Run(t, "build", "--tag", "localhost/first:1", folder)
			e.Run(t, "build", "--pull", "--tag", "localhost/again:1", folder)
			e.Run(t, "pull", "busybox:stable")
			e.Run(t, "run", "--rm", "busybox:stable", "true")
		})
	}
}
