package engine

import (
	"bytes"
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

// Start starts an engine that ends with the test. An engine that this machine lacks skips the test, or fails it where
// IMAGECACHE_ENGINES asks for the engine. The registries are those that speak plain HTTP, as host:port; docker needs none
// for addresses on loopback.
func Start(t testing.TB, kind Kind, registries ...string) *Engine {
	t.Helper()
	programs := Require(t, kind)
	// Not the test's own folder: paths of sockets may have 107 characters.
	dir, err := os.MkdirTemp("/tmp", "imagecache-engine-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	keeper := startKeeper(t, orders{Dir: dir, Kind: kind, Programs: programs})
	if kind == Podman {
		environment, err := containerenv.Write(dir, containerenv.Options{InsecureRegistries: registries})
		if err != nil {
			t.Fatal(err)
		}
		return &Engine{Kind: kind, Environment: environment}
	}
	path, config, err := writeClient(dir, programs, kind)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, socketName)
	if err := keeper.waitFor(t.Context(), socket); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, logName))
		t.Fatalf("start %s: %v\n%s", kind, err, log[max(0, len(log)-4000):])
	}
	return &Engine{
		Kind: kind,
		Environment: []string{
			"PATH=" + path + ":" + os.Getenv("PATH"),
			"DOCKER_HOST=unix://" + socket,
			"DOCKER_CONFIG=" + config,
			"DOCKER_CONTEXT=",
			"DOCKER_TLS_VERIFY=",
			"BUILDX_BUILDER=",
		},
		Config: config,
		Socket: socket,
	}
}

// keeper is the process that runs an engine.
type keeper struct {
	ended chan struct{} // closed when it has ended, after err is set
	err   error
}

// startKeeper starts a process that lives until the test has ended.
func startKeeper(t testing.TB, o orders) *keeper {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	process := exec.Command(own)
	process.Env = append(os.Environ(), keeperVariable+"="+string(text))
	process.Stderr = &said
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.Kind != Podman {
		// Mounts of its own, private ones, end with the last process of the engine.
		process.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	life, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	k := &keeper{ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		if err := process.Wait(); err != nil {
			k.err = fmt.Errorf("%s's keeper: %w: %s", o.Kind, err, strings.TrimSpace(said.String()))
		}
	}()
	t.Cleanup(func() {
		_ = life.Close()
		<-k.ended
		if k.err != nil {
			t.Error(k.err)
		}
	})
	return k
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
	reference, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(reference, image, &archive); err != nil {
		t.Fatal(err)
	}
	e.run(t, &archive, "load")
}
