//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
)

// upPrograms stand in for podman and the reference CLI. The CLI writes the arguments and the override configuration of
// "up" into files. The environment decides what they do: CONTAINER is an existing container's label, UP_FAILS how the
// lifecycle commands fail, BUILD_FAILS that "build" does.
const (
	upPodman = `case "$1" in
ps) [ -z "$CONTAINER" ] || echo c-old ;;
inspect) printf '{"devcontainer.local_folder":"%s","devcontainer.config_file":"%s/.devcontainer.json"}\n' "$CONTAINER" "$CONTAINER" ;;
image) echo '{"User":"","Labels":{"devcontainer.metadata":"[{\"postCreateCommand\":\"make\"}]"}}' ;;
info) echo store ;;
esac
`
	upCLI = `case "$1" in
build)
	if [ -n "$BUILD_FAILS" ]; then
		echo '{"outcome":"error","message":"COPY generated: not found"}'
		exit 1
	fi
	echo '{"outcome":"success"}' ;;
up)
	echo "$@" >"$SEEN/arguments"
	while [ $# -gt 0 ]; do [ "$1" != --override-config ] || cp "$2" "$SEEN/override"; shift; done
	echo 'Running the postCreateCommand from devcontainer.json...' >&2
	[ -z "$STUCK" ] || sleep 600
	if [ -n "$UP_FAILS" ]; then
		echo '{"outcome":"error","message":"m","description":"The postCreateCommand failed.","containerId":"c-0123456789abcdef"}'
		exit 1
	fi
	echo '{"outcome":"success","containerId":"c-0123456789abcdef","remoteUser":"dev","remoteWorkspaceFolder":"/workspaces/w"}' ;;
esac
`
)

// upWorld is a workspace on a machine with these programs, and no cluster.
type upWorld struct{ words map[string]string }

func newUpWorld(t *testing.T, config string) upWorld {
	t.Helper()
	programs := t.TempDir()
	for name, script := range map[string]string{builder.Podman: upPodman, "devcontainer": upCLI} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := upWorld{map[string]string{
		"WORKSPACE": folder(t, map[string]string{".devcontainer.json": config}), "SEEN": t.TempDir(), "TEMPORARY": t.TempDir(), "PROGRAMS": programs,
	}}
	for name, value := range map[string]string{
		"PATH": programs + ":" + os.Getenv("PATH"), builder.CLIVariable: "", "KUBECONFIG": "/dev/null", "KUBERNETES_SERVICE_HOST": "",
		"SEEN": w.words["SEEN"], "TMPDIR": w.words["TEMPORARY"], "IMAGECACHE_BUILDER": builder.Podman, "IMAGECACHE_WITHOUT_CLUSTER": "build",
	} {
		t.Setenv(name, value)
	}
	return w
}

func (w upWorld) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	args = append([]string{"up", w.words["WORKSPACE"], "--project", "web", "--environment", "env-9"}, args...)
	code, stdout, stderr = inPipe(t, "", args...)
	if left, err := filepath.Glob(filepath.Join(w.words["TEMPORARY"], "*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %q, %v", left, err)
	}
	return code, stdout, stderr
}

// seen is what the reference CLI saw: "arguments" or "override"; "" if nothing.
func (w upWorld) seen(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(w.words["SEEN"], name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(content)), w.words["WORKSPACE"], "WORKSPACE")
}

// upDiffers are what differs from run to run, besides times.
var upDiffers = map[*regexp.Regexp]string{
	spent: "N s", short: "HASH", regexp.MustCompile(`(client|override)-\d+`): "${1}-N", regexp.MustCompile(`("(?:total|build)": ?)[0-9.]+`): "${1}N",
	regexp.MustCompile(`"seconds":[0-9.e-]+`): `"seconds":N`, regexp.MustCompile(`"time":"[^"]*"`): `"time":"TIME"`,
}

const upConfig = `{"image": "base:1", "postCreateCommand": "make"}`

func TestUpInAPipe(t *testing.T) {
	const composeConfig = `{"dockerComposeFile": "c.yaml", "service": "app"}`
	tests := map[string]struct {
		config, container, fails string
		args                     []string
		code                     int
		override                 bool
	}{
		"up":                  {upConfig, "", "", nil, cli.ExitSuccess, true},
		"up-name":             {upConfig, "", "", []string{"-o", "name"}, cli.ExitSuccess, true},
		"up-json":             {upConfig, "", "", []string{"-o", "json", "--exit-code"}, cli.ExitBuilt, true},
		"up-jsonl":            {upConfig, "", "", []string{"-o", "jsonl"}, cli.ExitSuccess, true},
		"up-other-label":      {`{"image": "base:1", "postCreateCommand": "other"}`, "", "", nil, cli.ExitSuccess, false},
		"up-compose":          {composeConfig, "", "", nil, cli.ExitSuccess, false},
		"up-compose-name":     {composeConfig, "", "", []string{"-o", "name"}, cli.ExitSuccess, false},
		"up-exists":           {upConfig, "WORKSPACE", "", []string{"--exit-code"}, cli.ExitBypassed, false},
		"up-exists-rebuild":   {upConfig, "WORKSPACE", "", []string{"--trigger", "Rebuild"}, cli.ExitSuccess, false},
		"up-removed":          {upConfig, "WORKSPACE", "", []string{"--remove-existing-container"}, cli.ExitSuccess, true},
		"up-more-features":    {upConfig, "", "", []string{"--", "--additional-features", `{"./tool":{}}`}, cli.ExitSuccess, false},
		"up-hook-fails":       {upConfig, "", "yes", nil, cli.ExitFailed, true},
		"up-hook-fails-json":  {upConfig, "", "yes", []string{"-o", "json"}, cli.ExitFailed, true},
		"up-wrong-argument":   {upConfig, "", "", []string{"--", "--config", "x"}, cli.ExitUsage, false},
		"up-wrong-builder":    {upConfig, "", "", []string{"--builder", "embedded"}, cli.ExitUsage, false},
		"up-no-environment":   {upConfig, "", "", []string{"--environment", ""}, cli.ExitUsage, false},
		"up-no-configuration": {"", "", "", []string{"--config", "none.json"}, cli.ExitFailed, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newUpWorld(t, test.config)
			t.Setenv("CONTAINER", strings.ReplaceAll(test.container, "WORKSPACE", w.words["WORKSPACE"]))
			t.Setenv("UP_FAILS", test.fails)
			code, stdout, stderr := w.run(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if override := w.seen(t, "override"); (override != "") != test.override {
				t.Errorf("override %q, want one: %v", override, test.override)
			}
			text := settled(stdout+"-- standard error\n"+stderr+"-- devcontainer\n"+w.seen(t, "arguments")+"\n", w.words)
			for expression, word := range upDiffers {
				text = expression.ReplaceAllString(text, word)
			}
			golden(t, name, text)
		})
	}
}

func TestUpIsOneJSONObject(t *testing.T) {
	w := newUpWorld(t, upConfig)
	t.Setenv("CONTAINER", "")
	t.Setenv("UP_FAILS", "")
	_, stdout, stderr := w.run(t, "-o", "json")
	var answer struct {
		Outcome, ContainerID, RemoteUser, RemoteWorkspaceFolder string
		Cache                                                   struct{ Outcome, Image, Environment string }
	}
	decoder := json.NewDecoder(strings.NewReader(stdout))
	if err := decoder.Decode(&answer); err != nil || decoder.More() {
		t.Fatalf("%v: %s", err, stdout)
	}
	if answer.Outcome != "success" || answer.ContainerID != "c-0123456789abcdef" || answer.RemoteWorkspaceFolder != "/workspaces/w" {
		t.Errorf("answer %+v", answer)
	}
	if answer.Cache.Outcome != "Built" || answer.Cache.Image == "" || answer.Cache.Environment != "env-9" {
		t.Errorf("cache %+v", answer.Cache)
	}
	if !strings.Contains(stderr, "Running the postCreateCommand") {
		t.Errorf("the log belongs on standard error: %s", stderr)
	}
}

func TestOverrideConfigurationOfPrepare(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"an image":      {upConfig, "{\n\t\"image\": \"IMAGE\"\n}\n"},
		"another label": {`{"image": "base:1", "postCreateCommand": "other"} // as it is`, `{"image": "base:1", "postCreateCommand": "other"} // as it is`},
		"compose":       {`{"dockerComposeFile": "c.yaml"} // as it is`, `{"dockerComposeFile": "c.yaml"} // as it is`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newUpWorld(t, test.config)
			file := filepath.Join(t.TempDir(), "override.json")
			args := []string{"prepare", w.words["WORKSPACE"], "--environment", "env-9", "-o", "name", "--override-config", file}
			code, stdout, stderr := inPipe(t, "", args...)
			if code != cli.ExitSuccess {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(test.want, "IMAGE", strings.TrimSpace(stdout)); string(content) != want {
				t.Errorf("override %q, want %q", content, want)
			}
			if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
				t.Errorf("beside it is %v, %v", entries, err)
			}
		})
	}
}

func TestOverrideConfigurationIsNotWrittenIntoTheWorkspace(t *testing.T) {
	w := newUpWorld(t, upConfig)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(w.words["WORKSPACE"], link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--override-config", filepath.Join(w.words["WORKSPACE"], "o.json")},
		{"--override-config", filepath.Join(link, "o.json")},
		{"--override-config", filepath.Join(t.TempDir(), "none", "o.json")},
		{"--override-config", filepath.Join(t.TempDir(), "o.json"), "--pull", "oci:images"},
	} {
		args = append([]string{"prepare", w.words["WORKSPACE"], "--environment", "env-9"}, args...)
		if code, _, stderr := inPipe(t, "", args...); code != cli.ExitUsage || !strings.Contains(stderr, "--override-config") {
			t.Errorf("%q: exit code %d, %q", args, code, stderr)
		}
	}
	if entries, err := os.ReadDir(w.words["WORKSPACE"]); err != nil || len(entries) != 1 {
		t.Errorf("the workspace was changed: %v, %v", entries, err)
	}
}

func TestInterruptedUpLeavesNothing(t *testing.T) {
	w := newUpWorld(t, upConfig)
	t.Setenv("STUCK", "yes")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "up", w.words["WORKSPACE"], "--environment", "env-9")
	cmd.Env = append(os.Environ(), programVariable+"=1")
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return w.seen(t, "override") != "" }, &bytes.Buffer{})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted || !strings.Contains(output.String(), "a container that was started stays") {
		t.Errorf("exit code %d: %s", code, output)
	}
	if runs(t, w.words["WORKSPACE"]) {
		t.Error("processes are left")
	}
	if left, err := filepath.Glob(filepath.Join(w.words["TEMPORARY"], "*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %q, %v", left, err)
	}
}

// The reference CLI runs initializeCommand, and builds then. imagecache builds before.
func TestBuildThatNeedsInitializeCommand(t *testing.T) {
	tests := map[string]struct {
		config  string
		code    int
		started bool
	}{
		"no command":       {upConfig, cli.ExitFailed, false},
		"an empty command": {`{"image": "base:1", "initializeCommand": ""}`, cli.ExitFailed, false},
		"a command":        {`{"image": "base:1", "initializeCommand": "make generated"}`, cli.ExitBypassed, true},
		"a Dockerfile that the command writes": {
			`{"build": {"dockerfile": "generated"}, "initializeCommand": ["make", "generated"]}`, cli.ExitBypassed, true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newUpWorld(t, test.config)
			t.Setenv("CONTAINER", "")
			t.Setenv("UP_FAILS", "")
			t.Setenv("BUILD_FAILS", "yes")
			code, _, stderr := w.run(t, "--exit-code", "-o", "json")
			if arguments := w.seen(t, "arguments"); code != test.code || (arguments != "") != test.started {
				t.Errorf("exit code %d, want %d; devcontainer %q, want it started: %v", code, test.code, arguments, test.started)
			}
			if said := strings.Contains(stderr, "before initializeCommand has run"); said != test.started || w.seen(t, "override") != "" {
				t.Errorf("override %q, standard error:\n%s", w.seen(t, "override"), stderr)
			}
		})
	}
}

func TestUpWithABuildOfItsOwnDoesNotAskTheCache(t *testing.T) {
	w := newUpWorld(t, upConfig)
	t.Setenv("CONTAINER", "")
	t.Setenv("UP_FAILS", "")
	code, _, stderr := w.run(t, "--exit-code", "-o", "json", "--", "--build-no-cache")
	if code != cli.ExitBypassed || w.seen(t, "override") != "" || !strings.HasSuffix(w.seen(t, "arguments"), "--build-no-cache") {
		t.Errorf("exit code %d, devcontainer %q, standard error:\n%s", code, w.seen(t, "arguments"), stderr)
	}
}

// An environment gets its container also where the reader of the log has gone.
func TestUpWithoutAReader(t *testing.T) {
	tests := map[string]struct {
		output string
		code   int
		want   string // on standard error
	}{
		"the log":  {"", cli.ExitSuccess, ""},
		"the name": {"name", cli.ExitFailed, "the result can't be printed: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newUpWorld(t, upConfig)
			t.Setenv("CONTAINER", "")
			t.Setenv("UP_FAILS", "")
			cmd := exec.CommandContext(
				t.Context(), os.Args[0], "up", w.words["WORKSPACE"], "--project", "web", "--environment", "env-9", "--output", test.output,
			)
			cmd.Env = append(os.Environ(), programVariable+"=1")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_ = reader.Close()
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = writer, &said
			err = cmd.Run()
			_ = writer.Close()
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(said.String(), test.want) {
				t.Errorf("%v, want exit code %d and %q: %s", err, test.code, test.want, said.String())
			}
			if w.seen(t, "override") == "" {
				t.Error("no container was started")
			}
		})
	}
}
