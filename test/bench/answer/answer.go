// Package answer measures how long an environment waits for the cache's answer, on a hit: from the creation of its
// request to the status that its watch sees, against what the same machine can do at best in the same run; and from the
// start of imagecache prepare, beside that.
package answer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goslices "slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

// awsLatency is how long the emulator takes to answer a look-up, as ECR does within its region.
const awsLatency = 10 * time.Millisecond

// level is one measurement: how many requests are on their way at once, and how many are made in all.
type level struct{ atOnce, requests int }

var levels = []level{{1, 500}, {10, 1000}, {50, 2000}}

// slices is in how many parts each level is measured, ours and the floor in turn, so that both see the same machine.
const slices = 10

// Each side has a namespace of its own, and sees only that.
const ours, floor = "ours", "floor"

// configHash is the hash of the workspace, under which there is an image.
var configHash string

// Run measures at 1, 10 and 50 requests at once, and the program by itself.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	dir, err := os.MkdirTemp("", "imagecache-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if configHash, err = newWorkspace(ctx, filepath.Join(dir, "workspace")); err != nil {
		return nil, err
	}
	w, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := errors.Join(w.StartManager(ours), w.Namespace(ctx, ours), w.Namespace(ctx, floor)); err != nil {
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
	w.AWS.Faults().Add(awsemulator.Fault{Operation: "ecr:BatchGetImage", Latency: awsLatency})
	bare, err := startFloor(ctx, w, floor, project.Status.Repository.Name, hit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	for _, level := range levels {
		took := map[string][]time.Duration{}
		for slice := range slices {
			for _, namespace := range []string{ours, floor} {
				measured, err := measure(ctx, w, namespace, level, slice)
				if err != nil {
					return figures, err
				}
				took[namespace] = append(took[namespace], measured...)
			}
		}
		figures = append(figures, compare(level.atOnce, took[ours], took[floor])...)
		if level.atOnce == 1 {
			process, err := measureProcess(ctx, w, ours, dir)
			if err != nil {
				return figures, err
			}
			figures = append(figures, beside(process, took[floor])...)
		}
	}
	return figures, nil
}

func compare(atOnce int, ours, floor []time.Duration) []figure.Figure {
	var figures []figure.Figure
	for _, q := range []struct {
		name string
		rank float64
		goal float64
	}{{"p50", 0.50, 1.2}, {"p99", 0.99, 1.5}} {
		figures = append(figures, figure.Figure{
			Name:  fmt.Sprintf("hit: create to answer, %d at once, %s, against a bare watch and patch", atOnce, q.name),
			Value: milliseconds(quantile(ours, q.rank)), Unit: "ms", Goal: q.goal, Better: figure.Lower,
		}.Against(milliseconds(quantile(floor, q.rank))))
	}
	return figures
}

// beside is what the program takes for itself: all of its time but what the API server and AWS take at best.
func beside(process, floor []time.Duration) []figure.Figure {
	p50, own := milliseconds(quantile(process, 0.50)), milliseconds(quantile(floor, 0.50))
	return []figure.Figure{
		{Name: "hit: start of imagecache prepare to answer, p50", Value: p50, Unit: "ms", Better: figure.Lower},
		{Name: "hit: the same, less a bare watch and patch", Value: p50 - own, Unit: "ms", Goal: 150, Better: figure.Lower},
	}
}

// measure makes one slice of a level's requests, so many at once, and times each until the answer is seen.
func measure(ctx context.Context, w *world.World, namespace string, level level, slice int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answers := &arrivals{times: map[string]chan time.Time{}}
	if err := follow(ctx, w, namespace, answers.see); err != nil {
		return nil, err
	}

	var mu sync.Mutex
	var took []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for worker := range level.atOnce {
		group.Go(func() error {
			for round := range level.requests / slices / level.atOnce {
				passed, err := one(ctx, w, namespace, fmt.Sprintf("e-%d-%d-%d-%d", level.atOnce, slice, worker, round), answers)
				if err != nil {
					return err
				}
				mu.Lock()
				took = append(took, passed)
				mu.Unlock()
			}
			return nil
		})
	}
	return took, group.Wait()
}

// one times one request.
func one(ctx context.Context, w *world.World, namespace, name string, answers *arrivals) (time.Duration, error) {
	arrived := answers.expect(name)
	began := time.Now()
	if err := w.Client.Create(ctx, request(namespace, name)); err != nil {
		return 0, fmt.Errorf("create request: %w", err)
	}
	select {
	case at := <-arrived:
		return at.Sub(began), nil
	case <-ctx.Done():
		return 0, unanswered(w, namespace, name)
	}
}

// unanswered says how far a request came whose answer was not seen in time.
func unanswered(w *world.World, namespace, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request := &v1alpha1.DevcontainerImage{}
	if err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, request); err != nil {
		return fmt.Errorf("no answer to request %s was seen, and it can't be read: %w", name, err)
	}
	return fmt.Errorf("no answer to request %s was seen; its result is %q, its conditions are %v", name, request.Status.CacheResult, request.Status.Conditions)
}

func request(namespace, name string) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, EnvironmentID: name, Trigger: v1alpha1.TriggerEnvironmentCreated,
			ConfigurationType: v1alpha1.ConfigurationImage, ConfigHash: configHash,
		},
	}
}

// arrivals tells when each request's answer was seen.
type arrivals struct {
	mu    sync.Mutex
	times map[string]chan time.Time
}

func (a *arrivals) expect(name string) <-chan time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times[name] = make(chan time.Time, 1)
	return a.times[name]
}

// see takes the time of a request's first state with an answer.
func (a *arrivals) see(_ watch.EventType, request *v1alpha1.DevcontainerImage) {
	if request.Status.CacheResult == "" {
		return
	}
	now := time.Now()
	a.mu.Lock()
	arrived := a.times[request.Name]
	delete(a.times, request.Name)
	a.mu.Unlock()
	if arrived != nil {
		arrived <- now
	}
}

func quantile(all []time.Duration, rank float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := goslices.Sorted(goslices.Values(all))
	return sorted[min(len(sorted)-1, int(rank*float64(len(sorted))))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
