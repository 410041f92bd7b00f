package hash

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
)

// update fills in vectors that have no hash yet. One that has a hash never
// changes within a version: delete no hash, add a vector.
var update = flag.Bool("update", false, "fill in the golden vectors that have no hash yet")

// vector is a workspace and its key.
type vector struct {
	Name     string            `json:"name"`
	Platform string            `json:"platform,omitempty"`
	Files    map[string]string `json:"files"`
	// Executable and Links are further files: paths, and paths with targets.
	Executable []string          `json:"executable,omitempty"`
	Links      map[string]string `json:"links,omitempty"`
	Folders    []string          `json:"folders,omitempty"`
	Config     string            `json:"config,omitempty"`
	Settings   []string          `json:"settings,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	Images     map[string]string `json:"images,omitempty"`
	Inputs     []Input           `json:"inputs"`
	Hash       string            `json:"hash"`
}

func (v vector) workspace(t *testing.T) string {
	t.Helper()
	workspace := workspaceOf(t, v.Files)
	for _, name := range v.Executable {
		if err := os.Chmod(filepath.Join(workspace, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range v.Links {
		if err := os.Symlink(target, filepath.Join(workspace, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range v.Folders {
		if err := os.MkdirAll(filepath.Join(workspace, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

func (v vector) key(t *testing.T) *Key {
	t.Helper()
	lookup := func(name string) (string, bool) {
		value, found := v.Env[name]
		return value, found
	}
	c, err := devcontainer.Source{Workspace: v.workspace(t), ConfigPath: v.Config, LookupEnv: lookup}.Load()
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(_ context.Context, reference, _ string) (string, error) { return v.Images[reference], nil }
	key, err := Compute(t.Context(), c, Options{Platform: v.Platform, Inputs: v.Settings, Resolve: resolve})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestGoldenVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	contents, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(contents, &vectors); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		v := &vectors[i]
		t.Run(v.Name, func(t *testing.T) {
			key := v.key(t)
			if *update && v.Hash == "" {
				v.Hash, v.Inputs = key.Hash, key.Inputs
			}
			if key.Hash != v.Hash {
				t.Errorf("hash %s, want %s", key.Hash, v.Hash)
			}
			if diff := cmp.Diff(v.Inputs, key.Inputs); diff != "" {
				t.Errorf("inputs (-want +got):\n%s", diff)
			}
		})
	}
	if !*update {
		return
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
