package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imagecache.dev/internal/priority"
	"imagecache.dev/internal/process"
)

const (
	// commandName is the first argument of a supervisor. It makes one of a process.
	commandName = "imagecache-supervisor"
	// keepingName is the first argument of a supervisor that keeps containers.
	keepingName = "imagecache-supervisor-keeping-containers"
	// ownExecutable works also after the file was replaced.
	ownExecutable = "/proc/self/exe"
	// lifeDescriptor is the end of the pipe that a supervisor holds: the first of exec.Cmd.ExtraFiles.
	lifeDescriptor = 3
	// orphanGrace is how long what a program started has to end after the program.
	orphanGrace = time.Second
	// podmanGrace is how long podman has to end before the others are asked to.
	podmanGrace = 3 * time.Second
	// killGrace is how long the kernel has to end what was killed.
	killGrace = 2 * time.Second
	// pauseProgram keeps the user namespace of all containers of a user; podman starts it once and expects it to stay.
	pauseProgram = "catatonit"
	// podmanProgram is podman itself.
	podmanProgram = "podman"
)

// containerPrograms are what runs a container of podman, with all that is below them: the monitor, and those that give
// a rootless container its network and its file system.
var containerPrograms = []string{
	"conmon", "slirp4netns", "pasta", "pasta.avx2", "rootlessport", "aardvark-dns", "fuse-overlayfs",
}

// Exit codes as a shell's.
const (
	exitNotStarted = 127
	exitSignalled  = 128
)

func init() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[0] {
	case commandName:
		os.Exit(supervise(os.Args[1:], isPause))
	case keepingName:
		os.Exit(supervise(os.Args[1:], isPauseOrContainer))
	}
}

// supervise runs a program and returns the exit code for it. stays reports the descendants that don't end with it.
func supervise(arguments []string, stays func(pid int) bool) int {
	syscall.CloseOnExec(lifeDescriptor)
	lost := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(lifeDescriptor, "life"))
		close(lost)
	}()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)

	priority.LeadSession()
	// Orphans of the program become this process's children instead of init's. Where that is refused, only they are lost.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	program, err := os.StartProcess(arguments[0], arguments, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		// An init function runs on the main thread, which lives as long as this process.
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM},
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", arguments[0], errors.Unwrap(err))
		return exitNotStarted
	}
	ended := make(chan int, 1)
	go collect(program.Pid, ended)
	select {
	case code := <-ended:
		return code
	case <-lost:
	case <-signals:
	}
	endDescendants(ended, stays)
	return exitSignalled + int(syscall.SIGTERM)
}

// collect takes the exit status of every child that ends, and tells that of the program.
func collect(program int, ended chan<- int) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // no child is left
			return
		case pid == program && status.Signaled():
			ended <- exitSignalled + int(status.Signal())
		case pid == program:
			ended <- status.ExitStatus()
		}
	}
}

// endDescendants asks all descendants to end that do not stay, and kills those that do not in time. podman comes first,
// while those live that read what it says: it would end by SIGPIPE otherwise, and leave the working container of a
// build.
func endDescendants(ended <-chan int, stays func(pid int) bool) {
	const pause = 20 * time.Millisecond
	asked := map[int]bool{}
	others := time.Now().Add(podmanGrace)
	kill := time.Now().Add(stopGrace)
	for {
		left, err := process.DescendantsWithout(os.Getpid(), stays)
		if err != nil {
			return
		}
		if len(left) == 0 || time.Now().After(kill.Add(killGrace)) {
			return
		}
		turn := left
		if time.Now().Before(others) && slices.ContainsFunc(left, isPodman) {
			turn = slices.DeleteFunc(slices.Clone(left), func(pid int) bool { return !isPodman(pid) })
		}
		for _, pid := range turn {
			switch {
			case time.Now().After(kill):
				_ = syscall.Kill(pid, syscall.SIGKILL)
			case !asked[pid]:
				asked[pid] = true
				_ = syscall.Kill(pid, endingOf(pid))
			}
		}
		select {
		case <-ended:
			if orphans := time.Now().Add(orphanGrace); orphans.Before(kill) {
				kill = orphans
			}
		case <-time.After(pause):
		}
	}
}

// endingOf returns the signal that asks a process to end. podman ends at once by SIGTERM and leaves the working
// container of a build and its files; by SIGHUP it ends the build first.
func endingOf(pid int) syscall.Signal {
	if isPodman(pid) {
		return syscall.SIGHUP
	}
	return syscall.SIGTERM
}

// isPodman reports whether a process is podman itself.
func isPodman(pid int) bool { return nameOf(pid) == podmanProgram }

// isPause reports whether a process is podman's pause process.
func isPause(pid int) bool { return nameOf(pid) == pauseProgram }

// isPauseOrContainer reports whether a process is podman's pause process, or runs a container of podman.
func isPauseOrContainer(pid int) bool {
	name := nameOf(pid)
	return name == pauseProgram || slices.Contains(containerPrograms, name)
}

// nameOf returns the first 15 bytes of the name of a process's program, or "" for a process that has ended.
func nameOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}
