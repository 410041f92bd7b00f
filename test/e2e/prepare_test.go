package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"imagecache.dev/internal/runner"
)

// Exit codes of imagecache prepare --exit-code: docs/adr/0003-exit-codes.md.
const (
	codeHit         = 0
	codeFailed      = 1
	codePublished   = 10
	codeBuilt       = 11
	codeBypassed    = 12
	codePublishing  = 13
	codeInterrupted = 130
)

const dockerfile = "FROM busybox:stable\nRUN echo built > /built\nCOPY data /data\n"

// dockerfileWorkspace is a workspace of its own: marker makes its hash another than that of all other tests.
func dockerfileWorkspace(t *testing.T, marker string) string {
	t.Helper()
	return workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}} // ` + marker,
		".devcontainer/Dockerfile":        dockerfile,
		".devcontainer/data":              strings.Repeat("data ", 10_000),
	})
}

// prepare runs prepare for an environment of the project.
func (m *machine) prepare(folder, environment string, args ...string) ran {
	m.t.Helper()
	return m.imagecache(append([]string{"prepare", folder, "--project", project, "--environment", environment, "--exit-code"}, args...)...)
}

// wants fails unless a program ended with a code and printed texts.
func wants(t *testing.T, got ran, code int, texts ...string) {
	t.Helper()
	if got.code != code {
		t.Fatalf("want exit code %d, got %v", code, got)
	}
	for _, text := range texts {
		if !strings.Contains(got.stdout+got.stderr, text) {
			t.Fatalf("want %q, got %v", text, got)
		}
	}
}

// savedLine begins the line of a hit. The images of these tests may take longer to pull than to build.
const savedLine = "⚡️ Using pre-built dev container"

func TestDockerfileIsBuiltOncePublishedAndPulled(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, newMachine(t).prepare(folder, "df-1"), codePublished, "Creating dev container", "Published ")
	second := newMachine(t)
	hit := second.prepare(folder, "df-2")
	wants(t, hit, codeHit, savedLine)
	if strings.Contains(hit.stdout, "Building") {
		t.Errorf("a hit must not build: %v", hit)
	}

	path := filepath.Join(folder, ".devcontainer", "devcontainer.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, " another byte in a comment"...), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, newMachine(t).prepare(folder, "df-3"), codePublished)
	if left := kubectl(t, "get", "secrets", "-l", "imagecache.dev/credentials=push", "-o", "name"); left != "" {
		t.Errorf("upload rights are left behind: %s", left)
	}
}

func TestImageWithLocalFeature(t *testing.T) {
	folder := workspace(t, map[string]string{
		".devcontainer/devcontainer.json":              `{"image": "busybox:stable", "features": {"./tool": {}}} // ` + t.Name(),
		".devcontainer/tool/devcontainer-feature.json": `{"id": "tool", "version": "1.0.0", "name": "tool"}`,
		".devcontainer/tool/install.sh":                "#!/bin/sh\nset -e\necho tool > /tool\n",
	})
	wants(t, newMachine(t).prepare(folder, "ft-1"), codePublished)
	second := newMachine(t)
	hit := second.prepare(folder, "ft-2", "-o", "json")
	wants(t, hit, codeHit)
	var result runner.Result
	if err := json.Unmarshal([]byte(hit.stdout), &result); err != nil {
		t.Fatalf("standard output has to be one JSON object: %v", err)
	}
	if result.Outcome != runner.OutcomeHit || result.Hash == "" || !strings.Contains(result.Reference, "@sha256:") {
		t.Errorf("result %+v", result)
	}
	if shown := second.client("run", "--rm", "--network=host", result.Image, "cat", "/tool"); strings.TrimSpace(shown.stdout) != "tool" {
		t.Errorf("the pulled image has not what the Feature installed: %v", shown)
	}
	if !strings.Contains(hit.stderr, savedLine) {
		t.Errorf("the log belongs on standard error: %v", hit)
	}
}

func TestEmbeddedBuilderNeedsNoEngine(t *testing.T) {
	folder := workspace(t, map[string]string{".devcontainer.json": `{"image": "` + base + `", "remoteUser": "root"} // ` + t.Name()})
	without := newMachine(t)
	without.env = append(without.env, "PATH=/nonexistent", "IMAGECACHE_EMBEDDED_STORE="+t.TempDir())
	wants(t, without.prepare(folder, "em-0"), codeFailed, "imagecache: no builder on this machine")
	wants(t, without.prepare(folder, "em-1", "--builder", "embedded"), codePublished)
	with := newMachine(t)
	hit := with.prepare(folder, "em-2", "-o", "name")
	wants(t, hit, codeHit)
	if shown := with.client("run", "--rm", "--network=host", strings.TrimSpace(hit.stdout), "echo", "runs"); strings.TrimSpace(shown.stdout) != "runs" {
		t.Errorf("the pulled image does not run: %v", shown)
	}
}

func TestRebuildPullsAndNeverPublishes(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, newMachine(t).prepare(folder, "rb-1", "--trigger", "Rebuild"), codeBuilt, "never publishes")
	wants(t, newMachine(t).prepare(folder, "rb-2"), codePublished)
	wants(t, newMachine(t).prepare(folder, "rb-1", "--trigger", "Rebuild"), codeHit, savedLine)
}

func TestSeveralAtOnceBuildOnce(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	const environments = 3
	results := make(chan ran, environments)
	for i := range environments {
		m := newMachine(t)
		go func() { results <- m.prepare(folder, "at-once-"+string(rune('a'+i))) }()
	}
	codes := map[int]int{}
	for range environments {
		got := <-results
		codes[got.code]++
		if got.code != codePublished && got.code != codeHit {
			t.Errorf("got %v", got)
		}
	}
	if codes[codePublished] != 1 {
		t.Errorf("exit codes %v, want one that published", codes)
	}
}

func TestComposeIsBypassed(t *testing.T) {
	folder := workspace(t, map[string]string{".devcontainer.json": `{"dockerComposeFile": "compose.yaml", "service": "app"}`})
	wants(t, newMachine(t).prepare(folder, "cp-1"), codeBypassed, "Docker Compose configurations are not cached")
}

func TestEnvironmentWithoutAProjectIsBypassed(t *testing.T) {
	m := newMachine(t)
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, m.imagecache("prepare", folder, "--environment", "np-1", "--exit-code"), codeBypassed, "no project")
}

func TestBrokenBuildFailsAndTheNextOneBuilds(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	path := filepath.Join(folder, ".devcontainer", "Dockerfile")
	if err := os.WriteFile(path, []byte("FROM busybox:stable\nCOPY data /data\nRUN test -e /data && sleep 1 && grep -q good /data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	broken := m.prepare(folder, "bb-1")
	wants(t, broken, codeFailed, "imagecache: build dev container: ")
	if strings.Count(strings.TrimSpace(broken.stderr), "\n") != 0 {
		t.Errorf("standard error has to be one sentence: %q", broken.stderr)
	}
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer", "data"), []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, m.prepare(folder, "bb-2"), codePublished)
}

func TestBadInputIsOneSentence(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		args  []string
		code  int
		want  string
	}{
		"no configuration": {nil, nil, codeFailed, "no dev container configuration in "},
		"broken JSON":      {map[string]string{".devcontainer.json": "{"}, nil, codeFailed, "line 1, column "},
		"no Dockerfile":    {map[string]string{".devcontainer.json": `{"build": {"dockerfile": "D"}}`}, nil, codeFailed, "D, named by .devcontainer.json, is not there"},
		"unknown project":  {map[string]string{".devcontainer.json": `{"image": "busybox"}`}, []string{"--project", "nope"}, codeFailed, `no project "nope" in namespace runner-e2e`},
		"no such builder":  {map[string]string{".devcontainer.json": `{"image": "busybox"}`}, []string{"--builder", "kaniko"}, 2, "kaniko"},
		"cluster away":     {map[string]string{".devcontainer.json": `{"image": "busybox"}`}, []string{"--server", "https://127.0.0.1:1"}, codeFailed, "can't reach the cluster at https://127.0.0.1:1"},
		"registry away":    {map[string]string{".devcontainer.json": `{"image": "127.0.0.1:1/base:1"}`}, nil, codeFailed, "127.0.0.1:1"},
	}
	m := newMachine(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := m.prepare(workspace(t, test.files), "bad-1", test.args...)
			wants(t, got, test.code)
			sentence := strings.TrimSpace(got.stderr)
			if !strings.HasPrefix(sentence, "imagecache: ") || !strings.Contains(sentence, test.want) || strings.Contains(sentence, "\n") {
				t.Errorf("standard error %q, want one sentence with %q", sentence, test.want)
			}
		})
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	for environment, signal := range map[string]os.Signal{"int-term": syscall.SIGTERM, "int-ctrl-c": os.Interrupt} {
		t.Run(environment, func(t *testing.T) { interrupted(t, environment, signal) })
	}
}

func interrupted(t *testing.T, environment string, signal os.Signal) {
	t.Helper()
	folder := dockerfileWorkspace(t, t.Name())
	path := filepath.Join(folder, ".devcontainer", "Dockerfile")
	if err := os.WriteFile(path, []byte("FROM busybox:stable\nRUN sleep 300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	command, stdout := m.startPrepare(folder, environment, "sleep 300")
	if err := command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != codeInterrupted {
		t.Errorf("exit code %d:\n%s", code, stdout.String())
	}
	message := kubectl(t, "get", "dci", "--field-selector", "spec.environmentID="+environment, "-o", "jsonpath={.items[0].spec.build.outcome} {.items[0].spec.build.message}")
	if message != "Failed interrupted" {
		t.Errorf("report %q", message)
	}
	if secrets := kubectl(t, "get", "secrets", "-l", "imagecache.dev/credentials=push", "-o", "name"); secrets != "" {
		t.Errorf("upload rights are left behind: %s", secrets)
	}
	if left := processesWith(t, folder); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	for _, variable := range m.env {
		if folder, found := strings.CutPrefix(variable, "TMPDIR="); found {
			left, err := filepath.Glob(filepath.Join(folder, "imagecache-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		}
	}
}

// processesWith are the command lines of processes that name a path.
func processesWith(t *testing.T, path string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it ended in the meantime
		}
		if line := strings.ReplaceAll(string(content), "\x00", " "); strings.Contains(line, path) {
			found = append(found, line)
		}
	}
	return found
}

// startPrepare starts prepare and waits until it has printed a text.
func (m *machine) startPrepare(folder, environment, text string) (*exec.Cmd, *output) {
	m.t.Helper()
	command := m.command(filepath.Join(programs(), "imagecache"), "prepare", folder, "--project", project, "--environment", environment, "--exit-code")
	stdout := &output{}
	command.Stdout, command.Stderr = stdout, stdout
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(m.t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return strings.Contains(stdout.String(), text), nil
	})
	if err != nil {
		m.t.Fatalf("prepare did not print %q: %v:\n%s", text, err, stdout)
	}
	return command, stdout
}
