//go:build linux

// Command reap runs a program and leaves nothing of it behind: when the program
// has ended, by itself or by Ctrl-C, every process that it started and that is
// still there is asked to end, and killed after a while, and its temporary files
// are removed.
//
//	reap PROGRAM [ARGUMENT...]
//
// Test runs need that because envtest puts kube-apiserver and etcd in process
// groups of their own, which a terminal's Ctrl-C doesn't reach.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imagecache.dev/internal/process"
)

// grace is how long orphans have between SIGTERM and SIGKILL.
const grace = 5 * time.Second

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: reap PROGRAM [ARGUMENT...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "reap:", err)
	}
	os.Exit(code)
}

// run returns the exit code that a shell would report for the program.
func run(command []string) (code int, err error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 127, err
	}
	// Orphans of our descendants become our children instead of init's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become the reaper of orphans: %w", err)
	}

	// The terminal sends SIGINT to the program as well; SIGTERM comes to us alone.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	temporary, err := os.MkdirTemp("", "imagecache-")
	if err != nil {
		return 1, fmt.Errorf("make a folder for temporary files: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()

	program, err := os.StartProcess(path, command, &os.ProcAttr{
		Env:   append(os.Environ(), "TMPDIR="+temporary),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 126, fmt.Errorf("start %s: %w", path, err)
	}
	go func() {
		for received := range signals {
			if received != syscall.SIGINT {
				_ = program.Signal(received)
			}
		}
	}()

	code, err = wait(program.Pid)
	return code, errors.Join(err, endOrphans())
}

// wait collects ended children until the one with the given ID is among them.
func wait(pid int) (int, error) {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 1, fmt.Errorf("wait for process %d: %w", pid, err)
		case ended != pid:
			continue
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// endOrphans ends what the program left behind, which by now are our descendants.
func endOrphans() error {
	const pause = 20 * time.Millisecond
	asked := map[int]bool{}
	for deadline := time.Now().Add(grace); ; time.Sleep(pause) {
		collect()
		orphans, err := process.Descendants(os.Getpid())
		if err != nil || len(orphans) == 0 {
			return err
		}
		late := time.Now().After(deadline)
		for _, pid := range orphans {
			switch {
			case late:
				_ = syscall.Kill(pid, syscall.SIGKILL)
			case !asked[pid]:
				asked[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
		}
	}
}

// collect takes the exit status of every child that has ended, without blocking.
func collect() {
	for {
		ended, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || ended <= 0 {
			return
		}
	}
}
