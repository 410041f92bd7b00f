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
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/awsemulator"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

// awsLatency is how long the emulator takes to answer a look-up, as ECR does within its region.
const awsLatency = 10 * time.Millisecond

// rounds is how many requests are measured at each level.
const rounds = 300

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
	if err := w.StartManager(); err != nil {
		return nil, err
	}
	if err := w.Namespace(ctx, "ours"); err != nil {
		return nil, err
	}
	project, err := w.Project(ctx, "ours", "shop")
	if err != nil {
		return nil, err
	}
	hit, err := firstHit(ctx, w, project)
	if err != nil {
		return nil, err
	}
	w.AWS.Faults().Add(awsemulator.Fault{Operation: "ecr:BatchGetImage", Latency: awsLatency})
	ours := map[int][]time.Duration{}
	for _, atOnce := range levels {
		if ours[atOnce], err = measure(ctx, w, "ours", atOnce); err != nil {
			return nil, err
		}
	}
	process, err := measureProcess(ctx, w, "ours", dir)
	if err != nil {
		return nil, err
	}
	if err := w.StopManager(); err != nil {
		return nil, err
	}
	if err := w.Namespace(ctx, "floor"); err != nil {
		return nil, err
	}
	stop, err := startFloor(ctx, w, "floor", project.Status.Repository.Name, hit)
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, atOnce := range levels {
		floor, err := measure(ctx, w, "floor", atOnce)
		if err != nil {
			return nil, err
		}
		figures = append(figures, compare(atOnce, ours[atOnce], floor)...)
		if atOnce == 1 {
			figures = append(figures, beside(process, floor)...)
		}
	}
	return figures, nil
}

// levels are how many requests are on their way at once.
var levels = []int{1, 10, 50}

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

// measure creates requests, a number at once, and times each until the answer is seen.
func measure(ctx context.Context, w *world.World, namespace string, atOnce int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answers := &arrivals{times: map[string]chan time.Time{}}
	events, err := follow(ctx, w, namespace)
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	go answers.follow(events)

	var mu sync.Mutex
	var took []time.Duration
	var failure error
	var workers sync.WaitGroup
	for worker := range atOnce {
		workers.Go(func() {
			for round := range max(rounds/atOnce, 6) {
				passed, err := one(ctx, w, namespace, fmt.Sprintf("e-%d-%d-%d", atOnce, worker, round), answers)
				mu.Lock()
				took = append(took, passed)
				failure = firstOf(failure, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	return took, failure
}

// follow watches a namespace's requests from now on.
func follow(ctx context.Context, w *world.World, namespace string) (watch.Interface, error) {
	list := &v1alpha1.DevcontainerImageList{}
	if err := w.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	from := &client.ListOptions{Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}}
	events, err := w.Client.Watch(ctx, &v1alpha1.DevcontainerImageList{}, from)
	if err != nil {
		return nil, fmt.Errorf("watch requests: %w", err)
	}
	return events, nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
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
		return 0, fmt.Errorf("request %s has no answer: %w", name, ctx.Err())
	}
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

func (a *arrivals) follow(events watch.Interface) {
	for event := range events.ResultChan() {
		request, ok := event.Object.(*v1alpha1.DevcontainerImage)
		if !ok || request.Status.CacheResult == "" {
			continue
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
}

func quantile(all []time.Duration, rank float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(rank*float64(len(sorted))))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
