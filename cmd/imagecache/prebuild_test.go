//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
)

// prebuildAnswer is the answer to a prebuild: the cache has the image, but of another platform than arm64, for which it
// is switched off.
func prebuildAnswer(t *testing.T, stored map[string]any) map[string]any {
	t.Helper()
	request := requestOf(t, stored)
	if request.Spec.Trigger != v1alpha1.TriggerPrebuild {
		t.Errorf("the trigger is %s", request.Spec.Trigger)
	}
	if request.Spec.Platform == "linux/arm64" {
		return unstructured(t, v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheBypassed, Reason: v1alpha1.ReasonCacheDisabled, Explanation: "the cache is switched off",
		})
	}
	return unstructured(t, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Explanation: "found it",
		Image: &v1alpha1.CachedImage{
			Reference: "registry.example/r@sha256:" + firstHash, PushedAt: ptr.To(pastTime(0)),
			ExpiresAt: ptr.To(metav1.NewTime(time.Date(2099, 12, 24, 1, 2, 3, 0, time.UTC))),
		},
		Conditions: []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonHit, "found")},
	})
}

// prebuildWorkspace has two configurations of one content, and so of one hash.
func prebuildWorkspace(t *testing.T) string {
	t.Helper()
	return folder(t, map[string]string{
		".devcontainer/api/devcontainer.json": `{"image": "base"}`, ".devcontainer/web/devcontainer.json": `{"image": "base"}`,
	})
}

func TestPrebuildTellsWhatEachImageCameTo(t *testing.T) {
	outputWorld(t)
	newAPIServer(t, someObjects()...).answer = func(stored map[string]any) map[string]any { return prebuildAnswer(t, stored) }
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITHUB_STEP_SUMMARY", page)
	workspace := prebuildWorkspace(t)

	code, stdout, stderr := inPipe(t, "", "prebuild", workspace, "--project", "web")
	if code != cli.ExitSuccess || strings.Count(stdout, "Present") != 2 || strings.Contains(stderr, "imagecache:") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = inPipe(t, "", "prebuild", workspace, "--project", "web", "-o", "json", "--parallel", "1",
		"--config", ".devcontainer/web/devcontainer.json", "--platform", "linux/arm64", "--platform", "linux/amd64")
	if want := "imagecache: 1 of 2 images could not be prebuilt; the table tells why\n"; code != cli.ExitFailed || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	var rows []struct {
		Config, Platform, Outcome, Error string
		Result                           *struct{ Hash, Reference string }
	}
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%v in %s", err, stdout)
	}
	var got []string
	for _, row := range rows {
		got = append(got, fmt.Sprintln(row.Config, row.Platform, row.Outcome, row.Error, row.Result != nil))
	}
	want := []string{
		".devcontainer/web/devcontainer.json linux/arm64 Failed CacheDisabled: the cache is switched off false\n",
		".devcontainer/web/devcontainer.json linux/amd64 Present  true\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n### ", "| api | Present |", "| web linux/arm64 | Failed |", "| 2099-12-24 |"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("the page lacks %q:\n%s", want, content)
		}
	}
}

func TestPrebuildThatCannotBeginTellsWhy(t *testing.T) {
	words := outputWorld(t)
	workspace := prebuildWorkspace(t)
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no project":            {[]string{workspace}, cli.ExitUsage, "a project is required: set --project"},
		"no workspace":          {[]string{"--project", "web"}, cli.ExitUsage, "accepts 1 arg(s), received 0"},
		"too many at once":      {[]string{workspace, "--project", "web", "--parallel", "17"}, cli.ExitUsage, "--parallel must be 1 to 16, not 17"},
		"unknown platform":      {[]string{workspace, "--project", "web", "--platform", "amd64"}, cli.ExitUsage, `platform "amd64"`},
		"unknown builder":       {[]string{workspace, "--project", "web", "--builder", "kaniko"}, cli.ExitUsage, `not "kaniko"`},
		"unknown output":        {[]string{workspace, "--project", "web", "-o", "jsonl"}, cli.ExitUsage, `not "jsonl"`},
		"no configuration":      {[]string{words["EMPTY"], "--project", "web"}, cli.ExitFailed, "no dev container configuration in "},
		"missing configuration": {[]string{workspace, "--project", "web", "--config", "x.json"}, cli.ExitFailed, "no dev container configuration at x.json in "},
		"missing workspace":     {[]string{workspace + "/none", "--project", "web"}, cli.ExitFailed, "open workspace: "},
		"outside":               {[]string{workspace, "--project", "web", "--config", "../x.json"}, cli.ExitFailed, "find configuration: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := inPipe(t, "", append([]string{"prebuild"}, test.args...)...)
			if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// TestInterruptedPrebuildEndsAllItsBuilds interrupts two builds that go on at once.
func TestInterruptedPrebuildEndsAllItsBuilds(t *testing.T) {
	mark := fmt.Sprintf("stuck-prebuild-%d", os.Getpid())
	run := newStuckRun(t, mark)
	controller := playController(t, "registry.example")
	var mu sync.Mutex
	told := map[string]string{}
	controller.server.report = func(stored map[string]any) {
		request := requestOf(t, stored)
		if build := request.Spec.Build; build != nil {
			mu.Lock()
			defer mu.Unlock()
			told[request.Name] = string(build.Outcome) + ": " + build.Message
		}
	}
	controller.server.handOver()
	workspace := folder(t, map[string]string{
		".devcontainer/api/devcontainer.json": `{"image": "base:1"}`, ".devcontainer/web/devcontainer.json": `{"image": "base:2"}`,
		".devcontainer/zoo/devcontainer.json": `{"image": "base:3"}`,
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "prebuild", workspace, "--project", "web", "--builder", "podman", "--parallel", "2")
	cmd.Env = append(os.Environ(), programVariable+"=1", "PATH="+run.programs+":"+os.Getenv("PATH"), "TMPDIR="+run.temporary,
		builder.CLIVariable+"=", "STUCK=build", "READY="+run.ready)
	var stdout bytes.Buffer
	stderr := &safeBuffer{}
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	cmd.WaitDelay = 10 * time.Second // processes that are left keep the output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { return len(processesIn(t, mark, "cmdline")) >= 2*processesOfABuild }, stderr)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, cli.ExitInterrupted)
	}
	if left := processesIn(t, mark, "cmdline"); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	if left := run.left(t); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, said := range told {
		if said != "Failed: interrupted" {
			t.Errorf("request %s reports %q", name, said)
		}
	}
	if len(told) != 2 || strings.Count(stdout.String(), "interrupted") != 3 {
		t.Errorf("%d builds were reported, want 2; the table is\n%s", len(told), stdout.String())
	}
	if t.Failed() {
		t.Log(stderr)
	}
}

// processesOfABuild are the processes with the mark that a stuck build has: two shells.
const processesOfABuild = 2
