package builder_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/devcontainer"
)

// recordedDocker puts a docker with a daemon on PATH, with BuildKit or without, and a reference CLI that notes how it was
// called and writes a lockfile, as the real one does. The machine that runs the tests may have no daemon.
func recordedDocker(t *testing.T, server string, buildKit bool) (engine builder.Engine, calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	buildx := "exit 1"
	if buildKit {
		buildx = "echo github.com/docker/buildx v0.30.1"
	}
	scripts := map[string]string{
		builder.Docker: "case $1 in version) echo " + server + " ;; buildx) " + buildx + " ;; info) echo " + filepath.Base(dir) + " ;; *) exit 125 ;; esac\n",
		"devcontainer": "env >" + calls + ".env\n" + `printf '%s\n' "$@" "BUILDX_NO_DEFAULT_ATTESTATIONS=$BUILDX_NO_DEFAULT_ATTESTATIONS" "DOCKER_CONFIG=$DOCKER_CONFIG" >` + calls + "\n" +
			`case " $* " in *" --no-lockfile "*) ;; *) echo '{"written": "by the build"}' >"$3/.devcontainer/devcontainer-lock.json" ;; esac` + "\n" +
			`echo '{"outcome":"success"}'` + "\n",
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(builder.CLIVariable, filepath.Join(dir, "devcontainer"))
	engine, err := builder.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if engine.Name() != builder.Docker {
		t.Fatalf("found %s, want docker where its daemon answers", engine.Name())
	}
	return engine, calls
}

// What buildx and the reference CLI take: https://docs.docker.com/reference/cli/docker/buildx/build/,
// https://docs.docker.com/build/building/variables/#buildx_no_default_attestations
func TestDockersCommandLine(t *testing.T) {
	own := "linux/" + runtime.GOARCH
	const other = "linux/riscv64"
	features := `{"image": "base:1", "features": {"./tool": {}}}`
	tests := map[string]struct {
		server        string // 29.1.0 unless told
		buildKit      bool
		configuration string
		dockerfile    string
		lockfile      string
		platform      string
		noCache       bool
		with, without []string
	}{
		"BuildKit, Features":         {buildKit: true, configuration: features, platform: own, with: []string{"--platform", own, "--omit-syntax-directive", "--no-lockfile"}},
		"BuildKit, another platform": {buildKit: true, configuration: features, platform: other, with: []string{"--platform", other}},
		"no BuildKit, own platform":  {configuration: features, platform: own, with: []string{"--omit-syntax-directive", "--no-lockfile"}, without: []string{"--platform"}},
		"a syntax of its own": {
			buildKit: true, configuration: `{"build": {"dockerfile": "Dockerfile"}}`, dockerfile: "# syntax=registry.example/dockerfile:1\nFROM base:1\n",
			without: []string{"--omit-syntax-directive", "--platform"},
		},
		"Features, Docker 20.10 with buildx": {
			server: "20.10.24+dfsg1", buildKit: true, configuration: features, platform: own,
			with: []string{"--buildkit", "never", "--omit-syntax-directive"}, without: []string{"--platform"},
		},
		"Features and RUN --mount, Docker 20.10 with buildx": {
			server: "20.10.24+dfsg1", buildKit: true, platform: own,
			configuration: `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}}}`, dockerfile: "FROM base:1\nRUN --mount=type=cache,target=/c true\n",
			with: []string{"--platform"}, without: []string{"--buildkit", "--omit-syntax-directive"},
		},
		"Features and COPY --chown, Docker 20.10 with buildx": {
			server: "20.10.24+dfsg1", buildKit: true, platform: own,
			configuration: `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}}}`, dockerfile: "FROM base:1\nCOPY --chown=1:1 a /\n",
			with: []string{"--buildkit", "never", "--omit-syntax-directive"}, without: []string{"--platform"},
		},
		"no Features, Docker 20.10 with buildx": {
			server: "20.10.24+dfsg1", buildKit: true, configuration: `{"image": "base:1"}`, platform: own,
			with: []string{"--platform"}, without: []string{"--buildkit"},
		},
		"a lockfile": {buildKit: true, configuration: features, lockfile: `{"features": {}}`, without: []string{"--no-lockfile"}},
		"no cache":   {buildKit: true, configuration: features, noCache: true, with: []string{"--no-cache"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			engine, calls := recordedDocker(t, cmp.Or(test.server, "29.1.0"), test.buildKit)
			files := map[string]string{
				".devcontainer/devcontainer.json":              test.configuration,
				".devcontainer/tool/devcontainer-feature.json": `{"id": "tool", "version": "1.0.0"}`,
				".devcontainer/tool/install.sh":                "true\n",
			}
			if test.dockerfile != "" {
				files[".devcontainer/Dockerfile"] = test.dockerfile
			}
			if test.lockfile != "" {
				files[".devcontainer/devcontainer-lock.json"] = test.lockfile
			}
			workspace := workspaceOf(t, files)
			_, err := engine.Build(t.Context(), builder.Request{
				Workspace: workspace, ImageName: "imagecache.local/shop:1", Platform: test.platform, NoCache: test.noCache, DockerConfigDir: "/credentials",
			})
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(calls)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSpace(string(content)), "\n")
			with := append([]string{"build", "--image-name", "imagecache.local/shop:1", "--docker-path", "BUILDX_NO_DEFAULT_ATTESTATIONS=1", "DOCKER_CONFIG=/credentials"}, test.with...)
			for _, want := range with {
				if !slices.Contains(got, want) {
					t.Errorf("no %s in %q", want, got)
				}
			}
			// Ignored, refused, or against what the cache needs: the manager alone puts images under a hash.
			for _, never := range append([]string{"--push", "--output", "--cache-to", "--label"}, test.without...) {
				if slices.Contains(got, never) {
					t.Errorf("%s in %q", never, got)
				}
			}
			lockfile, err := os.ReadFile(filepath.Join(workspace, ".devcontainer", "devcontainer-lock.json"))
			if test.lockfile == "" && !errors.Is(err, os.ErrNotExist) || string(lockfile) != test.lockfile {
				t.Errorf("the workspace's lockfile became %q, %v", lockfile, err)
			}
		})
	}
}

func TestABuildGetsNoVariableThatWouldChangeIt(t *testing.T) {
	engine, calls := recordedDocker(t, "29.1.0", true)
	workspace := t.TempDir()
	if err := os.WriteFile(filepath.Join(workspace, ".devcontainer.json"), []byte(`{"image": "base:1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	private := t.TempDir()
	t.Setenv("KEPT", "of the machine")
	for _, name := range devcontainer.BuilderVariables {
		if name != "TMP" && name != "TMPDIR" { // one of them is set, whichever the machine has
			t.Setenv(name, "of the machine")
		}
	}
	request := builder.Request{Workspace: workspace, ImageName: "image:1", DockerConfigDir: private}
	if _, err := engine.Build(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	environment, err := os.ReadFile(calls + ".env")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(environment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if value == "of the machine" && name != "KEPT" {
			t.Errorf("the build gets the machine's %s", name)
		}
	}
	if !strings.Contains(string(environment), "KEPT=of the machine\n") {
		t.Error("the build doesn't get the machine's other variables")
	}
}

func TestWithoutBuildKitAnotherPlatformIsRefused(t *testing.T) {
	engine, calls := recordedDocker(t, "29.1.0", false)
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "base:1"}`})
	_, err := engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "x:1", Platform: "linux/riscv64"})
	if !errors.Is(err, builder.ErrNotSupported) || !strings.Contains(fmt.Sprint(err), "docker without BuildKit builds for linux/"+runtime.GOARCH+" only") {
		t.Errorf("Build: %v", err)
	}
	if _, err := os.Stat(calls); !errors.Is(err, os.ErrNotExist) {
		t.Error("a build was started all the same")
	}
}
