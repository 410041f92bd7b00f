package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imagecache.dev/internal/process"
	"imagecache.dev/test/containerenv"
)

const (
	// keeperVariable holds a keeper's orders. It makes a keeper of a process.
	keeperVariable = "IMAGECACHE_ENGINE_KEEPER"
	// stopGrace is how long dockerd has to end its containers and itself.
	stopGrace = 10 * time.Second
)

// orders are what a keeper runs and removes.
type orders struct {
	Dir      string
	Kind     Kind
	Programs string
	// Hub: dockerd asks a registry of its own before Docker Hub.
	Hub bool
	// Kept: the engine outlives the process that started it.
	Kept bool
}

// A keeper is the test's program again: it runs one engine until its standard input ends, with the test or with the
// process of the test. It is in a process group of its own, so that Ctrl-C does not reach it first.
func init() {
	text := os.Getenv(keeperVariable)
	if text == "" {
		return
	}
	var o orders
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.keep()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (o orders) keep() (err error) {
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	left := make(chan struct{})
	if !o.Kept {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(left)
		}()
	}

	if o.Kind == Podman {
		select {
		case <-left:
		case <-ending:
		}
		return containerenv.Remove(o.Dir)
	}
	defer func() { err = errors.Join(err, o.removeFiles()) }()
	// Orphans of dockerd become this process's children instead of init's.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	if err := cover(o.Dir); err != nil {
		return err
	}
	network, err := makeBridge()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.remove()) }()
	var mirrors []string
	if o.Hub {
		hub, err := serveHub(o.Dir)
		if err != nil {
			return err
		}
		mirrors = append(mirrors, hub)
	}
	dockerd, err := o.startDockerd(network.name, mirrors)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- dockerd.Wait() }()
	select {
	case <-left:
	case <-ending:
	case err := <-ended:
		return errors.Join(fmt.Errorf("dockerd ended: %w", err), killDescendants())
	}
	// Docker would wait for containers that don't heed SIGTERM.
	killContainers()
	_ = dockerd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended: //nolint:errcheck // it ends by the signal
	case <-time.After(stopGrace):
	}
	return killDescendants()
}

// startDockerd starts it so that it ends with this process: init runs on the main thread, which lives as long.
func (o orders) startDockerd(bridge string, mirrors []string) (*exec.Cmd, error) {
	runc := o.Kind.parts().runc
	if runc != "" {
		runc = filepath.Join(o.Programs, runc)
	}
	content, err := settings(o.Dir, o.Kind, bridge, runc, mirrors)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(o.Dir, settingsName)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, fmt.Errorf("write dockerd's settings: %w", err)
	}
	log, err := os.Create(filepath.Join(o.Dir, logName))
	if err != nil {
		return nil, fmt.Errorf("make dockerd's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	dockerd := exec.Command(filepath.Join(o.Programs, o.Kind.parts().dockerd), "--config-file", file)
	dockerd.Env = append(os.Environ(),
		keeperVariable+"=",
		"PATH="+filepath.Join(o.Programs, "containerd")+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+strings.Join(libraries(o.Programs), ":"),
		"TMPDIR="+o.Dir,
		"HOME="+o.Dir,
	)
	dockerd.Stdout, dockerd.Stderr = log, log
	dockerd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := dockerd.Start(); err != nil {
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	return dockerd, nil
}

// removeFiles takes away what is mounted below the engine's folder, which may be the machine's own, and the folder.
func (o orders) removeFiles() error {
	if err := containerenv.UnmountBelow(o.Dir); err != nil {
		return err
	}
	if err := uncover(o.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return fmt.Errorf("remove the engine's folder: %w", err)
	}
	return nil
}

// engineProgram is the name of a process that belongs to the engine and not to a container.
var engineProgram = regexp.MustCompile(`^(dockerd|containerd|runc)`)

// killContainers ends the processes of containers and of builds; the engine then removes what it made for them.
func killContainers() {
	pids, err := process.Descendants(os.Getpid())
	if err != nil {
		return
	}
	for _, pid := range pids {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && !engineProgram.Match(name) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// killDescendants ends what dockerd left: containerd, its shims and containers.
func killDescendants() error {
	const pause = 20 * time.Millisecond
	for deadline := time.Now().Add(stopGrace); ; time.Sleep(pause) {
		left, err := process.Descendants(os.Getpid())
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the engine did not end", left)
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
