package answer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

const (
	// finished is how many requests the cluster still holds that are finished, and builders how many of them published.
	finished = 100_000
	builders = 5_000
	// settled is for how long a manager has to be at rest before its memory is read.
	settled = 20 * time.Second
)

// RunFinished measures what requests that are finished cost a manager: its memory, and how soon after a restart a new
// environment has its answer.
func RunFinished(ctx context.Context) (figures []figure.Figure, err error) {
	w, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	folder, err := os.MkdirTemp("", "bench-finished-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if configHash, err = newWorkspace(ctx, filepath.Join(folder, "workspace")); err != nil {
		return nil, err
	}
	hit, err := fill(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := seed(ctx, w, finished, func(n int) *v1alpha1.DevcontainerImage { return finishedRequest(hit, n) }); err != nil {
		return nil, err
	}
	// The restart: one environment asked while no manager ran, another asks as soon as one does.
	answers := &arrivals{times: map[string]chan time.Time{}}
	served := make(chan struct{})
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	err = follow(watching, w, ours, func(event watch.EventType, seen *v1alpha1.DevcontainerImage) {
		answers.see(event, seen)
		if event == watch.Added && seen.Name == "before" {
			close(served)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := w.Client.Create(ctx, request(ours, "before")); err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	select {
	case <-served: // the API server has taken in all that was written past it
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	before, after := answers.expect("before"), answers.expect("after")
	began := time.Now()
	manager, err := w.StartProcess(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	if err := w.Client.Create(ctx, request(ours, "after")); err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	for _, awaited := range []struct {
		name    string
		arrived <-chan time.Time
	}{{"asked while no manager ran", before}, {"asked at its start", after}} {
		select {
		case at := <-awaited.arrived:
			figures = append(figures, figure.Figure{
				Name: "finished: start of a manager with 100,000 to the answer of who " + awaited.name, Value: at.Sub(began).Seconds(),
				Unit: "s", Goal: 30, Better: figure.Lower,
			})
		case <-time.After(3 * time.Minute):
			return figures, fmt.Errorf("who %s has no answer", awaited.name)
		case <-ctx.Done():
			return figures, context.Cause(ctx)
		}
	}
	if err := sleep(ctx, settled); err != nil {
		return figures, err
	}
	for _, read := range []struct{ name, line string }{{"memory with 100,000, at rest", "VmRSS"}, {"most memory with 100,000", "VmHWM"}} {
		memory, err := manager.Memory(read.line)
		if err != nil {
			return figures, err
		}
		figures = append(figures, figure.Figure{Name: "finished: the manager's " + read.name, Value: memory, Unit: "MB", Goal: 400, Better: figure.Lower})
	}
	return figures, nil
}

// fill leaves a project with its image, and returns a request for it that is finished; no manager runs afterwards.
func fill(ctx context.Context, w *world.World) (*v1alpha1.DevcontainerImage, error) {
	if err := errors.Join(w.StartManager(), w.Namespace(ctx, ours)); err != nil {
		return nil, err
	}
	project, err := w.Project(ctx, ours, "shop")
	if err != nil {
		return nil, err
	}
	hit, err := firstHit(ctx, w, project)
	if err != nil {
		return nil, err
	}
	if err := w.StopManager(); err != nil {
		return nil, err
	}
	if err := w.Client.Get(ctx, client.ObjectKeyFromObject(hit), hit); err != nil {
		return nil, fmt.Errorf("read the first hit: %w", err)
	}
	return hit, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
