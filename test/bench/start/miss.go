package start

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imagecache.dev/internal/runner"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/engine"
)

// A build of five steps, of which all but the last one are unchanged. The last one takes a tenth of the build.
const (
	unchangedSteps   = 4
	unchangedSeconds = 9
	changedSeconds   = 4
	allSeconds       = unchangedSteps*unchangedSeconds + changedSeconds
	stepBytes        = 5_000_000 // that each unchanged step writes
)

// reuseGoal is how long a miss may take that takes layers over, against one that does not. reuseRest is how many seconds
// it may take beside the changed step and the pull of the image.
const (
	reuseGoal = 0.2
	reuseRest = 2
)

// prebuildAccount is the service account of examples/kubernetes/prebuild.yaml.
const prebuildAccount = "imagecache-prebuild"

// missTimes are measurements in seconds.
type missTimes struct {
	prebuild, hit, pull, without, with []float64
}

// RunMiss measures a miss after a prebuild whose last step alone differs, with and without the prebuild's layers, and the
// first environment after a prebuild. Each measurement has an engine with an empty store.
func RunMiss(ctx context.Context) (figures []figure.Figure, err error) {
	const kind = engine.Docker28Containerd // podman has no BuildKit, so it takes no layers over
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
	t := &missTimes{}
	if err := b.measureMisses(ctx, kind, t); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return t.figures(kind), nil
}

func (b *bench) measureMisses(ctx context.Context, kind engine.Kind, t *missTimes) error {
	prebuilt, err := b.stepsWorkspace("prebuilt")
	if err != nil {
		return err
	}
	if err := b.prebuild(ctx, kind, prebuilt, t); err != nil {
		return err
	}
	for round := range rounds {
		environment := fmt.Sprintf("hit-%d", round)
		hit, took, err := b.prepareOn(ctx, kind, prebuilt, environment, runner.OutcomeHit)
		if err != nil {
			return err
		}
		t.hit, t.pull = append(t.hit, took.Seconds()), append(t.pull, hit.Seconds.Pull)
		for reuse, into := range map[string]*[]float64{"Off": &t.without, "Prebuilds": &t.with} {
			changed := fmt.Sprintf("%s-%d", strings.ToLower(reuse), round)
			workspace, err := b.stepsWorkspace(changed)
			if err != nil {
				return err
			}
			if err := b.setLayerReuse(ctx, reuse); err != nil {
				return err
			}
			_, took, err := b.prepareOn(ctx, kind, workspace, changed, runner.OutcomePublishing)
			if err != nil {
				return err
			}
			*into = append(*into, took.Seconds())
		}
	}
	return nil
}

// prebuild builds and publishes a workspace's image as a CI job.
func (b *bench) prebuild(ctx context.Context, kind engine.Kind, workspace string, t *missTimes) (err error) {
	if err := b.cluster.Apply(ctx, namespace, filepath.Join("examples", "kubernetes", "prebuild.yaml")); err != nil {
		return err
	}
	ci, err := b.cluster.ServiceAccountKubeconfig(ctx, namespace, prebuildAccount)
	if err != nil {
		return err
	}
	m, err := b.newMachine(ctx, kind, workspace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.engine.Close()) }()
	m.env = append(m.env, "KUBECONFIG="+ci)
	_, took, err := m.run(ctx, "imagecache", "prebuild", workspace, "--project", project)
	t.prebuild = append(t.prebuild, took.Seconds())
	return err
}

// prepareOn provides an environment on a new machine with its image, and returns how long it waited. A publication in the
// background is waited for and not counted.
func (b *bench) prepareOn(
	ctx context.Context, kind engine.Kind, workspace, environment string, wanted runner.Outcome,
) (result runner.Result, took time.Duration, err error) {
	m, err := b.newMachine(ctx, kind, workspace)
	if err != nil {
		return result, 0, err
	}
	defer func() { err = errors.Join(err, m.engine.Close()) }()
	printed, took, err := m.run(ctx, "imagecache", "prepare", workspace, "--project", project, "--environment", environment,
		"--builder", m.client(), "--publish", "background", "-o", "json")
	if err != nil {
		return result, took, err
	}
	if err := json.Unmarshal([]byte(printed), &result); err != nil {
		return result, took, fmt.Errorf("read result: %w", err)
	}
	if result.Outcome != wanted {
		return result, took, fmt.Errorf("the outcome of %s is %s (%s), not %s", environment, result.Outcome, result.Reason, wanted)
	}
	_, _, err = m.run(ctx, "imagecache", "publications", "wait")
	return result, took, err
}

// setLayerReuse sets spec.layerReuse of the project.
func (b *bench) setLayerReuse(ctx context.Context, reuse string) error {
	_, err := b.cluster.Kubectl(ctx, "-n", namespace, "patch", "projectimagecache", project, "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"layerReuse":%q}}`, reuse))
	return err
}

// stepsWorkspace writes a workspace whose Dockerfile differs from others in its last step.
func (b *bench) stepsWorkspace(last string) (string, error) {
	folder := filepath.Join(b.dir, "steps-"+last)
	dockerfile := "FROM busybox:stable\n"
	for step := range unchangedSteps {
		dockerfile += fmt.Sprintf("RUN sleep %d && head -c %d /dev/urandom >/step-%d\n", unchangedSeconds, stepBytes, step)
	}
	dockerfile += fmt.Sprintf("RUN sleep %d && echo %s >/last\n", changedSeconds, last)
	if err := os.MkdirAll(filepath.Join(folder, ".devcontainer"), 0o755); err != nil {
		return "", fmt.Errorf("make workspace: %w", err)
	}
	for name, content := range map[string]string{
		"devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`, "Dockerfile": dockerfile,
	} {
		if err := os.WriteFile(filepath.Join(folder, ".devcontainer", name), []byte(content), 0o600); err != nil {
			return "", fmt.Errorf("make workspace: %w", err)
		}
	}
	return folder, nil
}

// figures are the medians.
func (t *missTimes) figures(kind engine.Kind) []figure.Figure {
	of := func(name string, value, goal float64) figure.Figure {
		return figure.Figure{Name: string(kind) + ": " + name, Value: value, Unit: "s", Goal: goal, Better: figure.Lower}
	}
	without, with, pull := median(t.without), median(t.with), median(t.pull)
	return []figure.Figure{
		of(fmt.Sprintf("prebuild of five steps, %d s in all", allSeconds), median(t.prebuild), 0),
		of("the first environment after a prebuild, a hit", median(t.hit), 0).Against(without),
		of("of that hit: Pull", pull, 0),
		of("a miss whose last step differs, without layers of the prebuild", without, 0),
		of("of that miss: all but its steps", without-allSeconds, 0),
		of("a miss whose last step differs, with layers of the prebuild, against one without", with, reuseGoal).Against(without),
		of("of that miss: all but the changed step and the pull of the image", with-changedSeconds-pull, reuseRest),
	}
}
