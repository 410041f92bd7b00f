//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("REAP_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

func reap(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "sh", "-c", script)
	cmd.Env = append(os.Environ(), "REAP_TEST_AS_PROGRAM=1")
	cmd.Dir = t.TempDir()
	return cmd
}

// gone waits for the process whose ID is in the file to be no more.
func gone(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is still there", pid)
	}
}

func TestExitCodeIsTheProgramsOwn(t *testing.T) {
	err := reap(t, "exit 7").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("run: %v, want exit code 7", err)
	}
}

func TestOrphanInASessionOfItsOwnIsEnded(t *testing.T) {
	cmd := reap(t, "setsid sh -c 'echo $$ >pid; exec sleep 60' & while ! [ -s pid ]; do :; done")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join(cmd.Dir, "pid"))
}

func TestSIGTERMReachesTheProgramAndItsOrphans(t *testing.T) {
	cmd := reap(t, "setsid sh -c 'echo $$ >pid; exec sleep 60' & sleep 60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for file := filepath.Join(cmd.Dir, "pid"); ; {
		if content, _ := os.ReadFile(file); len(content) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want 143", code)
	}
	gone(t, filepath.Join(cmd.Dir, "pid"))
}

func TestTemporaryFilesAreRemoved(t *testing.T) {
	cmd := reap(t, `mktemp >file`)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(cmd.Dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(strings.TrimSpace(string(file)))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder of %s: %v, want it gone", file, err)
	}
}
