package hash

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/devcontainer"
)

var fixedTime = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// workspaceOf writes files, named by their paths, into a new folder.
func workspaceOf(t testing.TB, files map[string]string) string {
	t.Helper()
	workspace := t.TempDir()
	writeAll(t, workspace, files)
	return workspace
}

func writeAll(t testing.TB, workspace string, files map[string]string) {
	t.Helper()
	for name, contents := range files {
		full := filepath.Join(workspace, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compute(t testing.TB, workspace string, o Options) *Key {
	t.Helper()
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := Compute(context.Background(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTheHashIsOfTheTwoContentsAlone(t *testing.T) {
	json, dockerfile := `{"build": {"dockerfile": "Dockerfile"}} // x`, "FROM registry.example/base\n"
	first := compute(t, workspaceOf(t, map[string]string{".devcontainer/devcontainer.json": json, ".devcontainer/Dockerfile": dockerfile}), Options{})
	elsewhere := compute(t, workspaceOf(t, map[string]string{".devcontainer.json": json, "Dockerfile": dockerfile, "more": "files"}), Options{})
	if first.Hash != elsewhere.Hash {
		t.Errorf("another folder: %s, want %s", elsewhere.Hash, first.Hash)
	}
	contents, err := FromContents([]byte(json), []byte(dockerfile), "linux/amd64")
	if err != nil || contents.Hash != first.Hash {
		t.Errorf("FromContents: %v, %v, want %s", contents, err, first.Hash)
	}
	seen := map[string]string{first.Hash: "the first"}
	for name, files := range map[string]map[string]string{
		"a comment":                      {".devcontainer.json": json + "y", "Dockerfile": dockerfile},
		"a byte order mark":              {".devcontainer.json": "\ufeff" + json, "Dockerfile": dockerfile},
		"a Dockerfile's comment":         {".devcontainer.json": json, "Dockerfile": dockerfile + "#"},
		"a byte moved between the files": {".devcontainer.json": json + "F", "Dockerfile": "FROM registry.example/base\n"[1:] + "#"},
		"CRLF":                           {".devcontainer.json": json, "Dockerfile": "FROM registry.example/base\r\n"},
	} {
		key := compute(t, workspaceOf(t, files), Options{})
		if other, found := seen[key.Hash]; found {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[key.Hash] = name
	}
	other, err := FromContents([]byte(json), []byte(dockerfile), "linux/arm64")
	if err != nil || seen[other.Hash] != "" {
		t.Errorf("linux/arm64: %v, %v, want another hash", other, err)
	}
}

func TestFromContentsRefusesWhatDoesNotFit(t *testing.T) {
	tests := map[string]struct{ json, dockerfile, platform, want string }{
		"no Dockerfile":        {json: `{"dockerFile": "D"}`, want: "refers to the Dockerfile D, whose contents are missing"},
		"one too many":         {json: `{"image": "a"}`, dockerfile: "FROM a", want: "refers to none"},
		"broken":               {json: `{`, want: "line 1, column 1"},
		"a platform of a kind": {json: `{"image": "a"}`, platform: "Linux", want: `platform "Linux"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := FromContents([]byte(test.json), []byte(test.dockerfile), test.platform)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("FromContents: %v, want %q", err, test.want)
			}
		})
	}
}
