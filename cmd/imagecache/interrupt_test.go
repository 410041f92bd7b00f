//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
)

// programVariable makes the program itself of the test's program.
const programVariable = "IMAGECACHE_TEST_PROGRAM"

// stuckPrograms stand in for podman and the reference CLI. In the phase that STUCK names they start processes, in their
// own session and another one, write temporary files, and wait. Each process carries the mark in its command line.
func stuckPrograms(t *testing.T, mark string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	stuck := strings.ReplaceAll(`
if [ "$STUCK" = PHASE ]; then
	sh -c 'sleep 600; : MARK' &
	setsid sh -c 'sleep 600; : MARK' &
	[ PHASE = save ] || echo temporary >"$TMPDIR/file"
	sleep 0.2
	echo stuck >"$READY"
	wait
fi
`, "MARK", mark)
	for name, script := range map[string]string{
		builder.Podman: `case $1 in save)` + strings.ReplaceAll(stuck, "PHASE", "save") + `exit 1 ;; esac` + "\n",
		"devcontainer": strings.ReplaceAll(stuck, "PHASE", "build") + `echo '{"outcome":"success"}'` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// stuckRun is a run of prepare, without a cluster, that can get stuck in a phase.
type stuckRun struct {
	workspace, programs, temporary, layout, ready string
}

func newStuckRun(t *testing.T, mark string) stuckRun {
	t.Helper()
	r := stuckRun{t.TempDir(), stuckPrograms(t, mark), t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "ready")}
	if err := os.WriteFile(filepath.Join(r.workspace, ".devcontainer.json"), []byte(`{"image": "base:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r stuckRun) command(t *testing.T, stuck string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "prepare", r.workspace, "--project", "web", "--environment", "e-1",
		"--builder", "podman", "--pull", "oci:"+r.layout, "--without-cluster", "build")
	cmd.Env = append(os.Environ(), programVariable+"=1", "PATH="+r.programs+":"+os.Getenv("PATH"), "TMPDIR="+r.temporary,
		builder.CLIVariable+"=", "KUBECONFIG=/dev/null", "KUBERNETES_SERVICE_HOST=", "STUCK="+stuck, "READY="+r.ready)
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = 10 * time.Second // processes that are left keep the output open
	return cmd, output
}

// left are the names of the run's temporary files.
func (r stuckRun) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(r.temporary)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestRunThatEndsEarlyLeavesNothing(t *testing.T) {
	signals := map[string][]syscall.Signal{
		"SIGTERM": {syscall.SIGTERM}, "SIGINT": {syscall.SIGINT}, "SIGKILL": {syscall.SIGKILL},
		"SIGHUP": {syscall.SIGHUP, syscall.SIGHUP}, // from the shell and from the terminal
	}
	for _, phase := range []string{"build", "save"} {
		for name, signals := range signals {
			t.Run(phase+" "+name, func(t *testing.T) {
				t.Parallel()
				mark := fmt.Sprintf("stuck-%s-%s-%d", phase, name, os.Getpid())
				run := newStuckRun(t, mark)
				cmd, output := run.command(t, phase)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				within(t, func() bool { _, err := os.Stat(run.ready); return err == nil }, output)
				if len(run.left(t)) == 0 {
					t.Fatal("the run has no temporary files, so this test shows nothing")
				}
				for _, signal := range signals {
					if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
						t.Fatal(err)
					}
				}
				if name == "SIGKILL" {
					within(t, func() bool { return !runs(t, mark) }, output)
					_ = cmd.Wait()
					next, _ := run.command(t, "")
					_ = next.Run() // it finds no image, and can't build one
				} else {
					_ = cmd.Wait()
					if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted {
						t.Errorf("exit code %d, want %d", code, cli.ExitInterrupted)
					}
				}
				if runs(t, mark) {
					t.Error("processes are left")
				}
				if left := run.left(t); len(left) > 0 {
					t.Errorf("temporary files are left: %q", left)
				}
				if t.Failed() {
					t.Log(output)
				}
			})
		}
	}
}

// A run must not take the files of one that goes on for those of a killed one.
func TestRunLeavesTheFilesOfAnother(t *testing.T) {
	mark := fmt.Sprintf("stuck-other-%d", os.Getpid())
	run := newStuckRun(t, mark)
	cmd, output := run.command(t, "save")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, func() bool { _, err := os.Stat(run.ready); return err == nil }, output)
	before := run.left(t)
	next, _ := run.command(t, "")
	_ = next.Run()
	if left := run.left(t); len(before) == 0 || strings.Join(left, " ") != strings.Join(before, " ") {
		t.Errorf("temporary files %q, want those of the run that goes on: %q", left, before)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
}

// within fails unless a condition holds after a few seconds.
func within(t *testing.T, holds func() bool, output fmt.Stringer) {
	t.Helper()
	const patience = 2 * time.Minute // a busy machine takes half a minute until a build begins
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s:\n%s", patience, output)
		}
	}
}

// runs reports whether any process of the machine has a mark in its command line.
func runs(t *testing.T, mark string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(mark)) {
			return true
		}
	}
	return false
}
