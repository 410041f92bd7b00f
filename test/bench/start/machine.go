package start

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/runner"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/localcluster"
)

// machine is one environment's machine, with an engine of its own.
type machine struct {
	engine    *engine.Engine
	env       []string
	workspace string
}

func (b *bench) newMachine(ctx context.Context, kind engine.Kind, workspace string) (*machine, error) {
	image, err := localcluster.SampleBase()
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(ctx, kind, engine.Options{
		Registries: []string{b.cluster.RegistryHost()},
		StandIns:   map[string]string{"busybox": strings.TrimSuffix(b.base, ":stable")},
		Hub:        map[string]v1.Image{"busybox:stable": image},
	})
	if err != nil {
		return nil, err
	}
	state, err := os.MkdirTemp(b.dir, "state-")
	if err != nil {
		return nil, fmt.Errorf("make machine: %w", err)
	}
	credentials := e.Config
	if kind == engine.Podman {
		credentials = filepath.Join(state, "docker")
	}
	if err := b.cluster.WriteDockerConfig(ctx, credentials); err != nil {
		return nil, err
	}
	search := os.Getenv("PATH")
	for _, variable := range e.Environment {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			search = value
		}
	}
	programs, err := filepath.Abs("bin")
	if err != nil {
		return nil, fmt.Errorf("find programs: %w", err)
	}
	env := append(e.Environment, "KUBECONFIG="+b.kubeconfig, "IMAGECACHE_NAMESPACE="+namespace, "DOCKER_CONFIG="+credentials,
		"XDG_STATE_HOME="+state, "PATH="+programs+":"+search)
	return &machine{engine: e, env: env, workspace: workspace}, nil
}

// client is the name of the engine's program.
func (m *machine) client() string { return m.engine.Kind.Program() }

// run runs a program to its end, and returns what it printed and how long it took. A shell finds the program on the
// machine's PATH.
func (m *machine) run(ctx context.Context, program string, arguments ...string) (string, time.Duration, error) {
	words := append([]string{"-c", `exec "$0" "$@"`, program}, arguments...)
	command := exec.CommandContext(ctx, "sh", words...)
	command.Env = append(os.Environ(), m.env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	took, err := since(command.Run)
	if err != nil {
		return "", took, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(arguments, " "), err, tail(stderr.String()+stdout.String()))
	}
	return stdout.String(), took, nil
}

func tail(text string) string { return text[max(0, len(text)-2000):] }

// up brings an environment up, which must have the outcome wanted.
func (m *machine) up(
	ctx context.Context, wanted runner.Outcome, environment string, arguments ...string,
) ([]runner.Event, time.Duration, error) {
	printed, took, err := m.run(ctx, "imagecache", append([]string{"up", m.workspace, "--project", project,
		"--environment", environment + "-" + filepath.Base(m.workspace) + "-" + string(m.engine.Kind), "--builder", m.client(),
		"-o", "jsonl"}, arguments...)...)
	if err != nil {
		return nil, took, err
	}
	events, last, err := eventsOf(printed)
	if err != nil {
		return nil, took, err
	}
	var answer struct {
		Cache runner.Result `json:"cache"`
	}
	if err := json.Unmarshal([]byte(last), &answer); err != nil {
		return nil, took, fmt.Errorf("read answer: %w", err)
	}
	if answer.Cache.Outcome != wanted {
		return nil, took, fmt.Errorf("the outcome is %s (%s), not %s", answer.Cache.Outcome, answer.Cache.Reason, wanted)
	}
	return events, took, nil
}

// removeContainers removes the workspace's container.
func (m *machine) removeContainers(ctx context.Context) error {
	ids, _, err := m.run(ctx, m.client(), "ps", "--all", "--quiet", "--filter", "label=devcontainer.local_folder="+m.workspace)
	for _, id := range strings.Fields(ids) {
		if _, _, err := m.run(ctx, m.client(), "rm", "--force", id); err != nil {
			return err
		}
	}
	return err
}
