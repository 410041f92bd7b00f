package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"imagecache.dev/test/containerenv"
)

// startTimeout bounds how long dockerd may take until it answers.
const startTimeout = time.Minute

// Engine is a container engine that runs.
type Engine struct {
	Kind Kind
	// Environment are the variables, "NAME=value", under which programs find the engine and its client.
	Environment []string
	// Config is the folder of docker's client configuration; empty for podman.
	Config string
	// Socket is the path of dockerd's socket; empty for podman.
	Socket string

	keeper *keeper
}

// Require skips the test where this machine lacks an engine, or fails it where IMAGECACHE_ENGINES asks for the engine.
// It returns the folder of the engines' programs.
func Require(t testing.TB, kind Kind) (programs string) {
	t.Helper()
	programs, err := findPrograms()
	if err != nil {
		t.Fatal(err)
	}
	if err := kind.missing(programs); err != nil {
		if kind.required() {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	return programs
}

// RequireCompose skips the test where this machine lacks an engine with Docker Compose, or fails it as Require does.
func RequireCompose(t testing.TB, kind Kind) {
	t.Helper()
	programs := Require(t, kind)
	switch {
	case exists(filepath.Join(programs, composePlugin)):
	case kind.required():
		t.Fatal(`Docker Compose is not built: run "make engine-docker"`)
	default:
		t.Skip(`SKIPPED: Docker Compose is not built: run "make engine-docker"`)
	}
}

// Start is StartWith with nothing but registries.
func Start(t testing.TB, kind Kind, registries ...string) *Engine {
	t.Helper()
	return StartWith(t, kind, Options{Registries: registries})
}

// StartWith starts an engine that ends with the test. An engine that this machine lacks skips the test, or fails it where
// IMAGECACHE_ENGINES asks for the engine.
func StartWith(t testing.TB, kind Kind, options Options) *Engine {
	t.Helper()
	Require(t, kind)
	e, err := Open(t.Context(), kind, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Options of an engine.
type Options struct {
	// Registries are those that speak plain HTTP, as host:port; docker needs none for addresses on loopback.
	Registries []string
	// StandIns are repositories that podman uses in place of Docker Hub's official images.
	StandIns map[string]string
	// Hub are images that docker finds on Docker Hub, by tags such as "busybox:stable". They need no login.
	Hub map[string]v1.Image
	// Folder is where the engine's folder with its store is made, with a short path. The default is /tmp.
	Folder string
	// Log is a file for what the engine's keeper says. With it the engine outlives this process, until somebody sends
	// SIGTERM to its PID.
	Log string
}

// Open starts an engine that ends with Close, or with this process. The caller calls Close.
func Open(ctx context.Context, kind Kind, options Options) (*Engine, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	if err := kind.missing(programs); err != nil {
		return nil, err
	}
	// Not the test's own folder: paths of sockets may have 107 characters.
	dir, err := os.MkdirTemp(cmp.Or(options.Folder, "/tmp"), "imagecache-engine-")
	if err != nil {
		return nil, fmt.Errorf("make the engine's folder: %w", err)
	}
	keeper, err := startKeeper(orders{Dir: dir, Kind: kind, Programs: programs, Hub: len(options.Hub) > 0, Kept: options.Log != ""}, options.Log)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	e := &Engine{Kind: kind, keeper: keeper}
	if err := e.open(ctx, dir, programs, options); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// open waits for an engine whose keeper runs, and makes the settings of its client.
func (e *Engine) open(ctx context.Context, dir, programs string, options Options) (err error) {
	if e.Kind == Podman {
		e.Environment, err = containerenv.Write(dir, containerenv.Options{InsecureRegistries: options.Registries, StandIns: options.StandIns})
		return err
	}
	path, config, err := writeClient(dir, programs, e.Kind)
	if err != nil {
		return err
	}
	e.Config, e.Socket = config, filepath.Join(dir, socketName)
	e.Environment = []string{
		"PATH=" + path + ":" + os.Getenv("PATH"),
		"DOCKER_HOST=unix://" + e.Socket,
		"DOCKER_CONFIG=" + config,
		"DOCKER_CONTEXT=",
		"DOCKER_TLS_VERIFY=",
		"BUILDX_BUILDER=",
	}
	if err := e.keeper.waitFor(ctx, e.Socket); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, logName))
		return fmt.Errorf("start %s: %w\n%s", e.Kind, err, log[max(0, len(log)-4000):])
	}
	return fillHub(ctx, dir, options.Hub)
}

// Close ends the engine and removes all that it made. Closing it again does nothing.
func (e *Engine) Close() error { return e.keeper.stop() }

// PID is the process that keeps the engine.
func (e *Engine) PID() int { return e.keeper.process.Pid }

// keeper is the process that runs an engine.
type keeper struct {
	process *os.Process
	life    io.Closer     // its standard input
	ended   chan struct{} // closed when it has ended, after err is set
	err     error
}

// startKeeper starts a process that lives until it is stopped. It says what fails into a log, if that has a name.
func startKeeper(o orders, log string) (*keeper, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode orders: %w", err)
	}
	var said bytes.Buffer
	process := exec.Command(own)
	process.Env = append(os.Environ(), keeperVariable+"="+string(text))
	process.Stderr = &said
	if log != "" {
		file, err := os.Create(log)
		if err != nil {
			return nil, fmt.Errorf("make the engine's log: %w", err)
		}
		defer func() { _ = file.Close() }()
		process.Stdout, process.Stderr = file, file
	}
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.Kind != Podman {
		// Mounts of its own, private ones, end with the last process of the engine.
		process.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	life, err := process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s's keeper: %w", o.Kind, err)
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start %s's keeper: %w", o.Kind, err)
	}
	k := &keeper{process: process.Process, life: life, ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		if err := process.Wait(); err != nil {
			k.err = fmt.Errorf("%s's keeper: %w: %s", o.Kind, err, strings.TrimSpace(said.String()))
		}
	}()
	return k, nil
}

// stop ends the keeper, and returns when its engine has ended.
func (k *keeper) stop() error {
	_ = k.life.Close()
	_ = k.process.Signal(syscall.SIGTERM) // for one that outlives this process
	<-k.ended
	return k.err
}

// waitFor blocks until dockerd answers on its socket.
func (k *keeper) waitFor(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-k.ended:
			return k.err
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Use sets the engine's variables in this process, for the rest of the test. The test can't be parallel.
func (e *Engine) Use(t testing.TB) {
	t.Helper()
	for _, variable := range e.Environment {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// Command is a command of the engine's client.
func (e *Engine) Command(ctx context.Context, arguments ...string) *exec.Cmd {
	program := e.Kind.Program()
	for _, variable := range e.Environment {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			folder, _, _ := strings.Cut(path, ":")
			program = filepath.Join(folder, program)
		}
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), e.Environment...)
	return command
}

// Run runs a command of the client that must succeed, and returns what it prints to its standard output.
func (e *Engine) Run(t testing.TB, arguments ...string) string {
	t.Helper()
	return e.run(t, nil, arguments...)
}

func (e *Engine) run(t testing.TB, input io.Reader, arguments ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	command := e.Command(t.Context(), arguments...)
	command.Stdin, command.Stdout, command.Stderr = input, &out, &said
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %s: %v\n%s%s", e.Kind, strings.Join(arguments, " "), err, out.String(), said.String())
	}
	return strings.TrimSpace(out.String())
}

// Build builds an image of a Dockerfile that copies nothing.
func (e *Engine) Build(t testing.TB, tag, dockerfile string) {
	t.Helper()
	e.run(t, strings.NewReader(dockerfile), "build", "--tag", tag, "-")
}

// Load puts an image into the engine's store, without a registry.
func (e *Engine) Load(t testing.TB, image v1.Image, tag string) {
	t.Helper()
	if err := e.Put(t.Context(), image, tag); err != nil {
		t.Fatal(err)
	}
}

// Put puts an image into the engine's store, without a registry.
func (e *Engine) Put(ctx context.Context, image v1.Image, tag string) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("load %s: %w", tag, err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(reference, image, &archive); err != nil {
		return fmt.Errorf("load %s: %w", tag, err)
	}
	load := e.Command(ctx, "load")
	load.Stdin = &archive
	if said, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: load %s: %w\n%s", e.Kind, tag, err, said)
	}
	return nil
}
