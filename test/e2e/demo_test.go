package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// demo runs "make demo WORKSPACE=folder" without what make builds, as somebody who reads the README does.
func (m *machine) demo(folder string) ran {
	m.t.Helper()
	command := m.command(filepath.Join(programs(), "demo"))
	command.Dir = root()
	command.Env = append(command.Env, "IMAGECACHE_DEMO_WORKSPACE="+folder, "IMAGECACHE_DEMO_STATE="+m.t.TempDir())
	return m.finish(command)
}

// fingerprint is a digest of all names, modes and contents below a folder.
func fingerprint(t *testing.T, folder string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(sum, path, info.Mode(), info.ModTime().UnixNano())
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		_, _ = sum.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestDemoTakesAnybodysWorkspaceToAHit(t *testing.T) {
	folder := workspace(t, map[string]string{
		".devcontainer/devcontainer.json":              `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}}}`,
		".devcontainer/Dockerfile":                     "FROM " + base + "\nRUN echo built > /built\n",
		".devcontainer/tool/devcontainer-feature.json": `{"id": "tool", "version": "1.0.0", "name": "tool"}`,
		".devcontainer/tool/install.sh":                "#!/bin/sh\nset -e\necho tool > /tool\n",
	})
	before := fingerprint(t, folder)
	m := newMachine(t) // its settings and credentials are the user's: they lead to the base image
	wants(t, m.demo(folder), 0, "Miss (ImageNotFound", "miss, built and published", "Hit (ImageFound", savedLine, "Upload rights left: none")
	if fingerprint(t, folder) != before {
		t.Error("the demo changed the workspace")
	}
}

func TestDemoSaysWhatAWorkspaceLacks(t *testing.T) {
	tests := map[string]struct {
		configuration string
		want          string
	}{
		"Compose":   {`{"dockerComposeFile": "compose.yaml", "service": "app"}`, "demo: your workspace has a Docker Compose configuration, and those are not cached"},
		"no JSON":   {`{`, "demo: your workspace can't be used: read .devcontainer.json: line 1"},
		"no folder": {"", "demo: your workspace can't be used: no dev container configuration in "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{".devcontainer.json": test.configuration}
			if test.configuration == "" {
				files = nil
			}
			got := newMachine(t).demo(workspace(t, files))
			wants(t, got, codeFailed, test.want)
			if strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
				t.Errorf("want one sentence before anything is started: %v", got)
			}
		})
	}
}
