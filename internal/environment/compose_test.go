package environment_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/runner"
)

// composeResult is the result for a workspace with a service of an image and one with a build.
func composeResult(t *testing.T, config string) *runner.Result {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{
		".devcontainer.json": config,
		".env":               "TAG=1\n",
		"docker-compose.yml": "services:\n  app: {image: \"base:$TAG\", user: dev}\n  worker: {build: {context: ., dockerfile_inline: FROM base}}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configuration, err := devcontainer.Load(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	project, err := compose.Load(t.Context(), configuration, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return &runner.Result{
		Image: "cached:app", Configuration: configuration, Compose: project,
		Services: []*runner.Result{{Service: "app", Image: "cached:app"}, {Service: "worker", Image: "cached:worker"}},
	}
}

func TestServicesOfTheCacheAreUsed(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	result := composeResult(t, `{"dockerComposeFile": "docker-compose.yml", "service": "app", "features": {"./tool": {}}, "postCreateCommand": "make"}`)
	e := &fakeEngine{config: builder.ImageConfig{Labels: map[string]string{
		devcontainer.MetadataLabel: `[{"id":"./tool"},{"postCreateCommand":"make"}]`,
	}}}
	place, err := environment.New(e, &log{}, result.Configuration.Workspace, "", environment.Arguments{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Up(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	extra, err := filepath.Glob(filepath.Join(state, "imagecache", "compose", "docker-compose.devcontainer.build-*.yml"))
	if err != nil || len(extra) != 1 {
		t.Fatalf("extra Compose files: %q, %v", extra, err)
	}
	want := "{\n\t\"dockerComposeFile\": [\n\t\t\"docker-compose.yml\",\n\t\t\"" + extra[0] + "\"\n\t],\n\t\"service\": \"app\"\n}\n"
	if e.override != want || e.asked.MayBuildFeatures {
		t.Errorf("override %q, want %q; asked %+v", e.override, want, e.asked)
	}
	if info, err := os.Stat(filepath.Dir(extra[0])); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the file: %v, %v; want one that nobody else reads", info, err)
	}
	content, err := os.ReadFile(extra[0])
	if err != nil || strings.Count(string(content), "build: !reset null") != 2 || !strings.Contains(string(content), `image: "cached:worker"`) {
		t.Errorf("extra Compose file %q, %v", content, err)
	}
}

func TestComposeFilesOfWorkspacesThatAreGoneAreRemoved(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	folder := filepath.Join(state, "imagecache", "compose")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"docker-compose.devcontainer.build-gone.yml":    "# workspace \"" + filepath.Join(state, "gone") + "\"\nservices: {}\n",
		"docker-compose.devcontainer.build-there.yml":   "# workspace \"" + state + "\"\nservices: {}\n",
		"docker-compose.devcontainer.build-unknown.yml": "services: {}\n",
		"other.yml": "# workspace \"" + filepath.Join(state, "gone") + "\"\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"killed": 2 * time.Hour, "now": 0} {
		file := filepath.Join(folder, ".docker-compose.devcontainer.build-"+name+".yml-1.tmp")
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	result := composeResult(t, `{"dockerComposeFile": "docker-compose.yml", "service": "app"}`)
	place, err := environment.New(&fakeEngine{}, &log{}, result.Configuration.Workspace, "", environment.Arguments{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // its own stays
		if _, err := place.Up(t.Context(), result); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	gone := func(name string) bool { return strings.Contains(name, "-gone") || strings.Contains(name, "-killed") }
	if len(names) != 5 || slices.ContainsFunc(names, gone) {
		t.Errorf("files %q", names)
	}
}

func TestVariablesInAnotherFolderLeaveTheConfiguration(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("COMPOSE_DISABLE_ENV_FILE", "1") // the reference CLI names the file nonetheless
	result := composeResult(t, `{"dockerComposeFile": [], "service": "app"}`)
	e, events := &fakeEngine{}, &log{}
	place, err := environment.New(e, events, result.Configuration.Workspace, "", environment.Arguments{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Up(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	told := slices.ContainsFunc(events.lines, func(line string) bool { return strings.Contains(line, "name the files in dockerComposeFile") })
	if e.asked.Override != "" || !told {
		t.Errorf("asked %+v, told %q", e.asked, events.lines)
	}
}

func TestUserOfAComposeFileCounts(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	result := composeResult(t, `{"dockerComposeFile": [], "service": "app"}`)
	e := &fakeEngine{accounts: "root:x:0:0:root:/root:/bin/sh\ndev:x:12345:12345::/home/dev:/bin/sh\n"}
	place, err := environment.New(e, &log{}, result.Configuration.Workspace, "", environment.Arguments{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Up(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	if e.read != 1 { // for the user of the Compose file: the configuration and the image have none
		t.Errorf("accounts read %d times, want once", e.read)
	}
	if !strings.Contains(e.override, result.Configuration.Workspace+"/docker-compose.yml") {
		t.Errorf("override %q", e.override)
	}
}
