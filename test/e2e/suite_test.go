// Package e2e takes real workspaces through the whole system: real builds, publishes and pulls, with each program as it is
// shipped. They meet over HTTP alone.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/localcluster"
)

// The runner that all tests share, with its namespace and its project.
const (
	namespace = "runner-e2e"
	project   = "shop"
)

var (
	cluster    *localcluster.Cluster
	kubeconfig string // the runner's
	base       string // reference of the base image
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func root() string { return filepath.Join("..", "..") }

// programs is the folder with our own programs.
func programs() string {
	folder, err := filepath.Abs(filepath.Join(root(), "bin"))
	if err != nil {
		panic(err)
	}
	return folder
}

func assets() string {
	if folder := os.Getenv("KUBEBUILDER_ASSETS"); folder != "" {
		return folder
	}
	return filepath.Join(programs(), "k8s")
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv(builder.CLIVariable) == "" {
		if err := os.Setenv(builder.CLIVariable, filepath.Join(programs(), "devcontainer")); err != nil {
			return 1, err
		}
	}
	dir, err := os.MkdirTemp("", "imagecache-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	options, err := localcluster.InCheckout(root(), dir)
	if err != nil {
		return 1, err
	}
	cluster, err = localcluster.Start(ctx, options)
	if err != nil {
		return 1, err
	}
	defer cluster.Stop()
	sample, err := cluster.StartSample(ctx, namespace, map[string]string{"team": "platform"})
	if err != nil {
		return 1, err
	}
	base, kubeconfig = sample.Base, sample.Kubeconfig
	return m.Run(), nil
}

// machine is the machine of one environment, with an engine and an image store of its own.
type machine struct {
	t      *testing.T
	engine *engine.Engine
	env    []string
}

// machineVariable names the engine of all machines: one of package engine, the usual one unless set.
const machineVariable = "IMAGECACHE_MACHINE"

// machineKind is the engine that machines have.
func machineKind() (engine.Kind, error) {
	if kind := engine.Kind(os.Getenv(machineVariable)); kind != "" {
		return kind, nil
	}
	return engine.Usual()
}

// newMachine starts a machine whose engine finds the base image under the name that Docker Hub gives it.
func newMachine(t *testing.T) *machine {
	t.Helper()
	kind, err := machineKind()
	if err != nil {
		t.Fatal(err)
	}
	return newMachineOf(t, kind)
}

// newMachineOf starts a machine with an engine of a kind.
func newMachineOf(t *testing.T, kind engine.Kind) *machine {
	t.Helper()
	e, err := engine.Open(t.Context(), kind, engine.Options{
		Registries: []string{cluster.RegistryHost()},
		StandIns:   map[string]string{"busybox": strings.TrimSuffix(base, ":stable")},
		Hub:        map[string]v1.Image{"busybox:stable": sampleBase(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("remove machine: %v", err)
		}
	})
	credentials := e.Config
	if kind == engine.Podman {
		credentials = t.TempDir()
	}
	if err := cluster.WriteDockerConfig(t.Context(), credentials); err != nil {
		t.Fatal(err)
	}
	env := append(e.Environment, "KUBECONFIG="+kubeconfig, "DOCKER_CONFIG="+credentials, "TMPDIR="+t.TempDir(),
		"XDG_STATE_HOME="+filepath.Join(t.TempDir(), "state"))
	if kind == engine.Podman {
		env = append(env, "DOCKER_HOST=unix:///nonexistent/docker.sock") // not the Docker of whoever runs the tests
	}
	return &machine{t: t, engine: e, env: env}
}

// sampleBase is the image that cluster.PushSampleBase pushes.
func sampleBase(t *testing.T) v1.Image {
	t.Helper()
	image, err := localcluster.SampleBase()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// client runs a command of the engine's client: docker or podman.
func (m *machine) client(args ...string) ran {
	m.t.Helper()
	return m.finish(m.clientCommand(args...))
}

// clientCommand makes a command of the engine's client; it may be changed before it runs.
func (m *machine) clientCommand(args ...string) *exec.Cmd {
	command := m.engine.Command(m.t.Context(), args...)
	command.Env = append(command.Env, m.env...)
	return command
}

// ran is how a program ended.
type ran struct {
	code   int
	stdout string
	stderr string
	took   time.Duration
}

func (r ran) String() string { return fmt.Sprintf("exit code %d\n%s\n%s", r.code, r.stdout, r.stderr) }

// output is a buffer that can be read while a program writes it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command makes a command of this machine; it may be changed before it runs.
func (m *machine) command(program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(m.t.Context(), program, args...)
	command.Env = append(os.Environ(), m.env...)
	return command
}

// run runs a program on this machine to its end.
func (m *machine) run(program string, args ...string) ran {
	m.t.Helper()
	return m.finish(m.command(program, args...))
}

func (m *machine) finish(command *exec.Cmd) ran {
	m.t.Helper()
	var stdout, stderr output
	command.Stdout, command.Stderr = &stdout, &stderr
	began := time.Now()
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("run %s: %v", command, err)
	}
	return ran{command.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(began)}
}

// imagecache runs our program.
func (m *machine) imagecache(args ...string) ran {
	m.t.Helper()
	return m.run(filepath.Join(programs(), "imagecache"), args...)
}

// workspace writes a workspace out of files; a name that ends in a slash is a folder.
func workspace(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// kubectl runs kubectl as administrator in the runner's namespace.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	printed, err := cluster.Kubectl(t.Context(), append([]string{"-n", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(printed)
}
