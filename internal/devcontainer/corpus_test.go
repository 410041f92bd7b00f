package devcontainer_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/devcontainer"
)

// repository returns the folder with the module's go.mod.
func repository(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("no go.mod above the test")
		}
		folder = filepath.Dir(folder)
	}
}

// referenceCLI finds the reference implementation, or skips the test.
func referenceCLI(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{
		os.Getenv("IMAGECACHE_DEVCONTAINER_CLI"),
		filepath.Join(repository(t), "hack/tools/devcontainer/node_modules/.bin/devcontainer"),
		"devcontainer",
	} {
		if found, err := exec.LookPath(candidate); err == nil {
			return found
		}
	}
	t.Skip("the reference CLI is not installed: npm ci --prefix hack/tools/devcontainer")
	return ""
}

// reference is what the reference CLI says of a configuration.
type reference struct {
	Configuration struct {
		Image             any
		DockerFile        string
		DockerComposeFile any
		Build             struct{ Dockerfile string }
		ConfigFilePath    struct{ Path string }
	}
}

func (r reference) typeAndDockerfile(workspace string) (devcontainer.Type, string) {
	c := r.Configuration
	dockerfile := c.DockerFile
	if dockerfile == "" {
		dockerfile = c.Build.Dockerfile
	}
	switch {
	case dockerfile != "":
		if !path.IsAbs(dockerfile) {
			dockerfile = path.Join(path.Dir(c.ConfigFilePath.Path), dockerfile)
		}
		relative, err := filepath.Rel(workspace, dockerfile)
		if err != nil {
			return devcontainer.TypeDockerfile, dockerfile
		}
		return devcontainer.TypeDockerfile, relative
	case c.DockerComposeFile != nil:
		return devcontainer.TypeCompose, ""
	case c.Image != nil:
		return devcontainer.TypeImage, ""
	}
	return "", ""
}

// TestTheCorpusIsReadAsTheReferenceCLIReadsIt reads real configurations of
// public projects with both, and compares what they build from.
func TestTheCorpusIsReadAsTheReferenceCLIReadsIt(t *testing.T) {
	corpus := filepath.Join(repository(t), "../shared/corpus")
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("the corpus is not beside the repository: ../shared/corpus")
	}
	cli := referenceCLI(t)
	// read-configuration asks the engine for a container first; one that says
	// nothing and succeeds has none.
	engine := filepath.Join(t.TempDir(), "engine")
	if err := os.WriteFile(engine, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(corpus, func(full string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != "devcontainer.json" && entry.Name() != ".devcontainer.json" {
			return err
		}
		name, err := filepath.Rel(corpus, full)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareWithReference(t, cli, engine, full)
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func compareWithReference(t *testing.T, cli, engine, configuration string) {
	workspace := filepath.Dir(configuration)
	if before, _, found := strings.Cut(configuration, "/.devcontainer/"); found {
		workspace = before
	}
	command := exec.CommandContext(t.Context(), cli, "read-configuration", "--workspace-folder", workspace, "--config", configuration, "--docker-path", engine, "--mount-workspace-git-root", "false", "--user-data-folder", t.TempDir())
	printed, runErr := command.Output()
	var said reference
	if runErr == nil {
		if err := json.Unmarshal(printed, &said); err != nil {
			t.Fatalf("%v: %s", err, printed)
		}
	}
	wantType, wantDockerfile := said.typeAndDockerfile(workspace)

	got, err := devcontainer.Load(workspace, configuration)
	switch {
	case errors.Is(err, fs.ErrNotExist) && wantType == devcontainer.TypeDockerfile:
		if _, statErr := os.Stat(filepath.Join(workspace, wantDockerfile)); statErr == nil {
			t.Errorf("%v, and the reference CLI finds %s", err, wantDockerfile)
		}
	case errors.Is(err, devcontainer.ErrOutside) && strings.HasPrefix(wantDockerfile, ".."):
	case err != nil && wantType != "":
		t.Errorf("%v, and the reference CLI says %s %s", err, wantType, wantDockerfile)
	case err == nil && (got.Type != wantType || got.Dockerfile != wantDockerfile):
		t.Errorf("%s %q, the reference CLI says %s %q (%v)", got.Type, got.Dockerfile, wantType, wantDockerfile, runErr)
	}
}
