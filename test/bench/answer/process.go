package answer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/runner"
	"imagecache.dev/test/bench/world"
)

// starts is how often the program is started and measured, after warmStarts.
const (
	starts     = 20
	warmStarts = 3
)

// program is the imagecache that "make bench" builds.
var program = filepath.Join("bin", "imagecache")

// newWorkspace makes a small workspace, and returns its hash.
func newWorkspace(ctx context.Context, folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make workspace: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer.json"), []byte(`{"image": "base"}`), 0o600); err != nil {
		return "", fmt.Errorf("make workspace: %w", err)
	}
	configuration, err := devcontainer.Load(folder, "")
	if err != nil {
		return "", err
	}
	key, err := hash.Compute(ctx, configuration, hash.Options{})
	if err != nil {
		return "", err
	}
	return key.Hash, nil
}

// measureProcess times, from the start of the program, until it has told that the cache has the image.
func measureProcess(ctx context.Context, w *world.World, namespace, dir string) ([]time.Duration, error) {
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := w.WriteKubeconfig(kubeconfig, namespace); err != nil {
		return nil, err
	}
	var took []time.Duration
	for n := range warmStarts + starts {
		passed, err := decision(ctx, exec.CommandContext(ctx, program, "prepare", filepath.Join(dir, "workspace"), "--kubeconfig", kubeconfig,
			"--project", "shop", "--environment", fmt.Sprintf("p-%d", n), "--pull", "oci:"+filepath.Join(dir, "images"), "--output", "jsonl"))
		if err != nil {
			return nil, fmt.Errorf("imagecache prepare: %w", err)
		}
		if n >= warmStarts {
			took = append(took, passed)
		}
	}
	return took, nil
}

// decision runs the program to its end, and returns when it had its answer.
func decision(ctx context.Context, command *exec.Cmd) (time.Duration, error) {
	var said strings.Builder
	command.Stderr = &said
	events, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	var took time.Duration
	var text string
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var event runner.Event
		if json.Unmarshal(lines.Bytes(), &event) == nil && event.Kind == runner.EventFinished && event.Step == "Lookup" {
			took, text = time.Since(began), event.Text
		}
	}
	if err := errors.Join(lines.Err(), command.Wait(), ctx.Err()); err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	if !strings.HasPrefix(text, "Hit") {
		return 0, fmt.Errorf("the answer is %q, want a hit", text)
	}
	return took, nil
}
