//go:build linux

package supervisor_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"imagecache.dev/internal/supervisor"
)

// victimVariable makes a test the victim of another: it runs this script and waits to be killed.
const victimVariable = "SUPERVISOR_TEST_VICTIM"

// family is a shell script of a program with children: in its group, in another session, in another session below an
// ended parent, and one that ignores every signal but SIGKILL. Each has the mark in its command line.
func family(mark string) string {
	return strings.ReplaceAll(`
sh -c 'sleep 600; : MARK' &
setsid sh -c 'sleep 600; : MARK' &
setsid sh -c 'sh -c "sleep 600; : MARK" & exit' &
setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 0.1; done; : MARK' &
sleep 0.5
echo ready
wait`, "MARK", mark)
}

// familySize is at least how many processes carry the mark.
const familySize = 5

func TestVictim(t *testing.T) {
	script := os.Getenv(victimVariable)
	if script == "" {
		t.Skip("runs as a part of TestKilledProcessLeavesNoDescendants")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Stdout = os.Stdout
	t.Log(supervisor.Run(cmd))
}

func TestKilledProcessLeavesNoDescendants(t *testing.T) {
	mark := fmt.Sprintf("victim-%d", os.Getpid())
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestVictim$")
	victim.Env = append(os.Environ(), victimVariable+"="+family(mark))
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if lines := bufio.NewScanner(output); !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the victim said %q", lines.Text())
	}
	if found := processesWith(t, mark); len(found) < familySize {
		t.Fatalf("%d processes run, want %d: %q", len(found), familySize, found)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitNone(t, mark)
	_ = victim.Wait()
}

func TestEndedContextLeavesNoDescendants(t *testing.T) {
	mark := fmt.Sprintf("context-%d", os.Getpid())
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh", "-c", family(mark))
	cmd.Stdout = writer(func([]byte) { cancel() })
	if err := supervisor.Run(cmd); err == nil {
		t.Error("no error, want one of a program that was ended")
	}
	if left := processesWith(t, mark); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

func TestContainersStayWhenTheContextEnds(t *testing.T) {
	mark := fmt.Sprintf("container-%d", os.Getpid())
	monitor := filepath.Join(t.TempDir(), "conmon")
	if err := os.WriteFile(monitor, []byte("#!/bin/sh\nsetsid sh -c 'sleep 600; : "+mark+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "setsid " + monitor + " & sleep 600 & sleep 0.5; echo ready; wait; : other-" + mark
	for name, test := range map[string]struct {
		run  func(*exec.Cmd) error
		stay bool
	}{"kept": {supervisor.RunKeepingContainers, true}, "ended": {supervisor.Run, false}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cmd := exec.CommandContext(ctx, "sh", "-c", script)
			cmd.Stdout = writer(func([]byte) { cancel() })
			if err := test.run(cmd); err == nil {
				t.Error("no error, want one of a program that was ended")
			}
			if left := processesWith(t, "other-"+mark); len(left) > 0 {
				t.Errorf("processes are left: %q", left)
			}
			left := processesWith(t, mark)
			if stay := len(left) > 0; stay != test.stay {
				t.Errorf("the container's processes %q stay: %v, want %v", left, stay, test.stay)
			}
			for _, pid := range pidsWith(t, mark) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			awaitNone(t, mark)
		})
	}
}

// A program may leave a process behind on purpose, as podman does.
func TestProgramThatEndsByItselfMayLeaveAProcess(t *testing.T) {
	mark := fmt.Sprintf("stays-%d", os.Getpid())
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "setsid sh -c 'sleep 600; : "+mark+"' >/dev/null 2>&1 & sleep 0.2; echo $!")
	var pid bytes.Buffer
	cmd.Stdout = &pid
	if err := supervisor.Run(cmd); err != nil {
		t.Fatal(err)
	}
	if len(processesWith(t, mark)) == 0 {
		t.Error("the process that the program left is gone")
	}
	var id int
	if _, err := fmt.Sscan(pid.String(), &id); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(-id, syscall.SIGKILL)
	awaitNone(t, mark)
}

func TestProgramsEndIsTold(t *testing.T) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "cat; echo $WORD; pwd; echo bad >&2; exit 7")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "WORD=word")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("input\n"), &out, &said
	err := supervisor.Run(cmd)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v, want exit code 7", err)
	}
	if out.String() != "input\nword\n/\n" || said.String() != "bad\n" {
		t.Errorf("printed %q and %q", out.String(), said.String())
	}
	err = supervisor.Run(exec.CommandContext(t.Context(), "sh", "-c", "kill -9 $$"))
	if !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGKILL) {
		t.Errorf("a killed program ended with %v", err)
	}
	if err := supervisor.Run(exec.CommandContext(t.Context(), "no-such-program")); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a missing program: %v", err)
	}
	said.Reset()
	cmd = exec.CommandContext(t.Context(), filepath.Join(t.TempDir(), "missing"))
	cmd.Stderr = &said
	if err := supervisor.Run(cmd); err == nil || !strings.Contains(said.String(), "no such file or directory") {
		t.Errorf("a missing file: %v, %q", err, said.String())
	}
}

// writer calls a function with each write.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// awaitNone fails unless all processes with a mark end within seconds.
func awaitNone(t *testing.T, mark string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := processesWith(t, mark)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes run 10 s later: %q", left)
		}
	}
}

// processesWith are the command lines that hold a mark, without those of this test's own program.
func processesWith(t *testing.T, mark string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(content), mark) {
			found = append(found, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return found
}

// podman ends a build by SIGHUP, and tells its reader. By SIGTERM it leaves the build's working container.
func TestPodmanEndsItsBuildBeforeItsReaderEnds(t *testing.T) {
	folder := t.TempDir()
	podman, cleaned := filepath.Join(folder, "podman"), filepath.Join(folder, "cleaned")
	script := "#!/bin/sh\ntrap 'echo the build ended; echo all >" + cleaned + "; exit 1' HUP\necho ready\nwhile :; do sleep 0.1; done\n"
	if err := os.WriteFile(podman, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh", "-c", podman+" | cat")
	cmd.Stdout = writer(func([]byte) { cancel() })
	if err := supervisor.Run(cmd); err == nil {
		t.Error("no error, want one of a program that was ended")
	}
	if content, err := os.ReadFile(cleaned); err != nil || string(content) != "all\n" {
		t.Errorf("podman did not end its build: %q, %v", content, err)
	}
}

// pidsWith are the IDs of the processes whose command lines hold a mark.
func pidsWith(t *testing.T, mark string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), mark) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}
