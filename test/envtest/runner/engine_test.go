package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/runner"
)

// engine is a container engine that only remembers: what it builds is random layers.
type engine struct {
	missing error
	// notComposed is why the engine builds no services of Docker Compose.
	notComposed error
	fails       error
	// pullFails is what Pull returns.
	pullFails error
	// during runs in the middle of a build.
	during func(ctx context.Context) error

	mu     sync.Mutex
	builds []builder.Request
	pulls  []string
	bases  []string
	saves  []string
	// baseDigest is what the store has of every base image.
	baseDigest string
	tags       map[string]string
	removed    []string
	// id is the ID of what is built, saveFails what Save returns, and proveFails what the proof of a saved image returns.
	id         string
	saveFails  error
	proveFails error
	// config is what the private configuration held at the pull.
	config string
	folder string
}

func (e *engine) find(context.Context) (builder.Engine, error) { return e, e.missing }
func (e *engine) Name() string                                 { return builder.Podman }
func (e *engine) Ready() error                                 { return nil }

func (e *engine) ComposeReady(context.Context, string) error { return e.notComposed }

func (e *engine) Build(ctx context.Context, r builder.Request) (*builder.Result, error) {
	e.mu.Lock()
	e.builds = append(e.builds, r)
	e.mu.Unlock()
	_, _ = fmt.Fprintln(r.Logs, "STEP 1/1: FROM base")
	if e.during != nil {
		if err := e.during(ctx); err != nil {
			return nil, err
		}
	}
	if e.fails != nil {
		return nil, e.fails
	}
	return &builder.Result{ImageName: r.ImageName, ImageID: e.id, Duration: 75 * time.Second}, nil
}

func (e *engine) Save(_ context.Context, name, _ string, _ compression.Format, _ func(int64)) (v1.Image, error) {
	e.mu.Lock()
	e.saves = append(e.saves, name)
	e.mu.Unlock()
	if e.saveFails != nil {
		return nil, e.saveFails
	}
	image, err := random.Image(5000, 3)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, config)
	return saved{image, e.proveFails}, err
}

// saved is an image whose layers were not compared with their diff IDs yet.
type saved struct {
	v1.Image
	wrong error
}

func (s saved) Prove(context.Context) error { return s.wrong }

func (e *engine) Pull(_ context.Context, reference, dockerConfigDir string, _ io.Writer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if dockerConfigDir == "" { // a base image, with the user's own credentials
		e.bases = append(e.bases, reference)
		return e.pullFails
	}
	content, err := os.ReadFile(filepath.Join(dockerConfigDir, "config.json"))
	if err != nil {
		return err
	}
	e.config, e.folder = string(content), dockerConfigDir
	e.pulls = append(e.pulls, reference)
	return e.pullFails
}

func (e *engine) Digests(context.Context, string) ([]string, error) {
	return []string{e.baseDigest}, nil
}

func (e *engine) LoadBlobs(context.Context, v1.Image, string, func(v1.Hash) bool) error {
	return errors.New("not used here")
}

func (e *engine) Complete(context.Context, string, string) error { return nil }

func (e *engine) Tag(_ context.Context, source, target string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tags == nil {
		e.tags = map[string]string{}
	}
	e.tags[target] = source
	return nil
}

func (e *engine) Load(context.Context, v1.Image, string) error { return errors.New("not used here") }

func (e *engine) Remove(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removed = append(e.removed, name)
	return nil
}

// recorded keeps the events it gets.
type recorded struct {
	mu     sync.Mutex
	events []runner.Event
}

func (r *recorded) Emit(event runner.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// texts are the texts of the events of a kind.
func (r *recorded) texts(kind runner.EventKind) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, event := range r.events {
		if event.Kind == kind {
			texts = append(texts, event.Text)
		}
	}
	return texts
}

// noticedOnce fails unless exactly one notice was given, and returns it.
func (w *world) noticedOnce(t *testing.T) string {
	t.Helper()
	notices := w.events.texts(runner.EventNotice)
	if len(notices) != 1 {
		t.Fatalf("notices %q, want exactly one", notices)
	}
	return notices[0]
}
