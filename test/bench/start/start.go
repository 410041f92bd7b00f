// Package start measures how long a person waits for a dev container: with devcontainer up alone, and with imagecache up
// on a miss and on a hit. Each engine gets a new store for each measurement.
package start

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imagecache.dev/internal/runner"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/localcluster"
)

// rounds is how often each way is measured. The ways take turns, so that whatever else the machine does hits all.
const rounds = 3

const (
	namespace = "runner-bench"
	project   = "shop"
)

// missGoal is what the cache may add to a build. floorShare is how many times a plain run of the image a hit may take,
// beside its pull and what the reference CLI adds to such a run.
const (
	missGoal   = 1.03
	floorShare = 1.5
)

// Run measures with podman and with Docker 28.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	dir, err := os.MkdirTemp("", "imagecache-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir}
	if err := b.startCluster(ctx); err != nil {
		return nil, err
	}
	defer b.cluster.Stop()
	for _, kind := range []engine.Kind{engine.Podman, engine.Docker28Containerd} {
		measured, err := b.measure(ctx, kind)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", kind, err)
		}
		figures = append(figures, measured.figures(kind)...)
	}
	return figures, nil
}

type bench struct {
	dir        string
	cluster    *localcluster.Cluster
	kubeconfig string
	base       string
	workspaces int
}

func (b *bench) startCluster(ctx context.Context) (err error) {
	b.cluster, err = localcluster.Start(ctx, localcluster.Options{
		Assets: os.Getenv("KUBEBUILDER_ASSETS"), Programs: "bin", Config: "config", Dir: b.dir,
	})
	if err != nil {
		return err
	}
	sample, err := b.cluster.StartSample(ctx, namespace, nil)
	b.base, b.kubeconfig = sample.Base, sample.Kubeconfig
	if err != nil {
		b.cluster.Stop()
	}
	return err
}

// times are the measurements with one engine, in seconds.
type times struct {
	plain, again, miss []float64
	hit, hitLessPull   []float64
	floor              []float64            // run of an image that exists
	cli                []float64            // the reference CLI's up of an image that exists
	parts              map[string][]float64 // of the hits
}

func (b *bench) measure(ctx context.Context, kind engine.Kind) (*times, error) {
	t := &times{parts: map[string][]float64{}}
	for range rounds {
		workspace, err := b.newWorkspace()
		if err != nil {
			return nil, err
		}
		for _, way := range []func(context.Context, *machine, *times) error{plain, miss, hit} {
			if err := b.onNewMachine(ctx, kind, workspace, t, way); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (b *bench) onNewMachine(
	ctx context.Context, kind engine.Kind, workspace string, t *times, way func(context.Context, *machine, *times) error,
) (err error) {
	m, err := b.newMachine(ctx, kind, workspace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.engine.Close()) }()
	defer func() { err = errors.Join(err, m.removeContainers(ctx)) }()
	return way(ctx, m, t)
}

// plain measures the reference CLI alone, with an empty store and with its own layer cache.
func plain(ctx context.Context, m *machine, t *times) error {
	for _, into := range []*[]float64{&t.plain, &t.again} {
		_, took, err := m.run(ctx, "devcontainer", "up", "--workspace-folder", m.workspace,
			"--docker-path", m.client(), "--omit-syntax-directive", "--no-lockfile", "--remove-existing-container")
		if err != nil {
			return err
		}
		*into = append(*into, took.Seconds())
	}
	return nil
}

// miss measures until the container can be used, and waits until its image is published.
func miss(ctx context.Context, m *machine, t *times) error {
	_, took, err := m.up(ctx, runner.OutcomePublishing, "first", "--publish", "background")
	if err != nil {
		return err
	}
	t.miss = append(t.miss, took.Seconds())
	_, _, err = m.run(ctx, "imagecache", "publications", "wait")
	return err
}

// hit measures another environment, and what a container of an image that exists costs at least.
func hit(ctx context.Context, m *machine, t *times) error {
	events, took, err := m.up(ctx, runner.OutcomeHit, "second")
	if err != nil {
		return err
	}
	pull := 0.0
	for _, event := range events {
		if event.Kind == runner.EventFinished {
			t.parts[event.Step] = append(t.parts[event.Step], event.Seconds)
		}
		if event.Kind == runner.EventFinished && event.Step == "Pull" {
			pull = event.Seconds
		}
	}
	t.hit, t.hitLessPull = append(t.hit, took.Seconds()), append(t.hitLessPull, took.Seconds()-pull)
	image := imageOf(events)
	if image == "" {
		return errors.New("no event names the image")
	}
	return floor(ctx, m, t, image)
}

// floor measures what a container of an image that exists takes, without and with the reference CLI.
func floor(ctx context.Context, m *machine, t *times, image string) error {
	_, running, err := m.run(ctx, m.client(), "run", "--rm", "--network", "host", image, "true")
	if err != nil {
		return err
	}
	t.floor = append(t.floor, running.Seconds())
	if err := m.removeContainers(ctx); err != nil {
		return err
	}
	// The image's label brings the lifecycle command.
	configuration := filepath.Join(m.workspace, ".devcontainer", "existing.json")
	if err := os.WriteFile(configuration, []byte(`{"image": "`+image+`"}`), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, took, err := m.run(ctx, "devcontainer", "up", "--workspace-folder", m.workspace, "--docker-path", m.client(),
		"--override-config", configuration, "--no-lockfile")
	t.cli = append(t.cli, took.Seconds())
	return err
}

func imageOf(events []runner.Event) string {
	for _, event := range events {
		if event.Kind == runner.EventUsable {
			return event.Image
		}
	}
	return ""
}

// figures are the medians.
func (t *times) figures(kind engine.Kind) []figure.Figure {
	of := func(name string, values []float64, goal float64) figure.Figure {
		return figure.Figure{
			Name: string(kind) + ": " + name, Value: median(values), Unit: "s", Goal: goal, Better: figure.Lower,
		}
	}
	plain := median(t.plain)
	figures := []figure.Figure{
		of("devcontainer up, empty store", t.plain, 0),
		of("devcontainer up, its own layer cache", t.again, 0).Against(plain),
		of("imagecache up on a miss until the container is usable, against devcontainer up", t.miss, missGoal).Against(plain),
		of("imagecache up on a hit, against devcontainer up", t.hit, 0).Against(plain),
		of("run of an image that exists", t.floor, 0),
		of("devcontainer up of an image that exists", t.cli, 0),
		of("a hit less its pull, against 1.5 × run of an image that exists, plus what devcontainer up adds to run",
			t.hitLessPull, 1).Against(floorShare*median(t.floor) + median(t.cli) - median(t.floor)),
	}
	for _, part := range []string{"Read", "Lookup", "Pull", "Container"} {
		figures = append(figures, of("of a hit: "+part, t.parts[part], 0))
	}
	return figures
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// newWorkspace writes a workspace whose hash is new: a build of some seconds, a layer of 50 MB, and a lifecycle command.
func (b *bench) newWorkspace() (string, error) {
	b.workspaces++
	folder := filepath.Join(b.dir, fmt.Sprintf("workspace-%d", b.workspaces))
	if err := os.MkdirAll(filepath.Join(folder, ".devcontainer"), 0o755); err != nil {
		return "", fmt.Errorf("make workspace: %w", err)
	}
	for name, content := range map[string]string{
		"devcontainer.json": fmt.Sprintf(`{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}},
	"postCreateCommand": "echo created"} // %d`, b.workspaces),
		"Dockerfile": "FROM busybox:stable\nRUN sleep 20\nRUN head -c 50000000 /dev/urandom >/data\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, ".devcontainer", name), []byte(content), 0o600); err != nil {
			return "", fmt.Errorf("make workspace: %w", err)
		}
	}
	tool := filepath.Join(folder, ".devcontainer", "tool")
	if err := os.Mkdir(tool, 0o755); err != nil {
		return "", fmt.Errorf("make workspace: %w", err)
	}
	for name, content := range map[string]string{
		"devcontainer-feature.json": `{"id": "tool", "version": "1.0.0", "name": "Tool"}`,
		"install.sh":                "#!/bin/sh\necho installed >/tool\n",
	} {
		if err := os.WriteFile(filepath.Join(tool, name), []byte(content), 0o755); err != nil {
			return "", fmt.Errorf("make workspace: %w", err)
		}
	}
	return folder, nil
}

// eventsOf reads the events that -o jsonl prints. The last line is the result.
func eventsOf(output string) (events []runner.Event, result string, err error) {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range lines[:len(lines)-1] {
		var event runner.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return nil, "", fmt.Errorf("read event %q: %w", line, err)
		}
		events = append(events, event)
	}
	return events, lines[len(lines)-1], nil
}

// since runs a function and measures it.
func since(run func() error) (time.Duration, error) {
	began := time.Now()
	err := run()
	return time.Since(began), err
}
