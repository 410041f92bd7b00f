package answer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

const (
	// waitingRequests is how many requests of one namespace wait for a project that does not exist.
	waitingRequests = 100_000
	// crowd is their namespace.
	crowd = "crowd"
	// others is how the requests of the other namespace are made, before and afterwards.
	othersAtOnce, others = 10, 1000
	// calm is what share of one CPU a manager takes that has nothing to do.
	calm = 0.1
)

// RunUnanswered measures how soon one namespace's requests are answered while another namespace has a hundred thousand
// requests without an answer, against the same before.
func RunUnanswered(ctx context.Context) (figures []figure.Figure, err error) {
	w, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	folder, err := os.MkdirTemp("", "bench-unanswered-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if configHash, err = newWorkspace(ctx, filepath.Join(folder, "workspace")); err != nil {
		return nil, err
	}
	if _, err := fill(ctx, w); err != nil {
		return nil, err
	}
	manager, err := w.StartProcess(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	waiting, err := firstWaiting(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := settle(ctx, manager); err != nil {
		return nil, err
	}
	level := level{othersAtOnce, others}
	var took [2][]time.Duration
	for slice := range slices {
		measured, err := measure(ctx, w, ours, level, slice)
		if took[0] = append(took[0], measured...); err != nil {
			return nil, err
		}
	}
	if err := seed(ctx, w, waitingRequests, func(n int) *v1alpha1.DevcontainerImage { return nth(waiting, n) }); err != nil {
		return nil, err
	}
	if err := settle(ctx, manager); err != nil {
		return nil, err
	}
	for slice := range slices {
		measured, err := measure(ctx, w, ours, level, slices+slice)
		if took[1] = append(took[1], measured...); err != nil {
			return nil, err
		}
	}
	for _, q := range []struct {
		name string
		rank float64
	}{{"p50", 0.50}, {"p95", 0.95}} {
		figures = append(figures, figure.Figure{
			Name:  fmt.Sprintf("unanswered: create to answer beside 100,000 of another namespace, %d at once, %s, against before", othersAtOnce, q.name),
			Value: milliseconds(quantile(took[1], q.rank)), Unit: "ms", Goal: 2, Better: figure.Lower,
		}.Against(milliseconds(quantile(took[0], q.rank))))
	}
	memory, err := manager.Memory("VmRSS")
	if err != nil {
		return figures, err
	}
	return append(figures, figure.Figure{Name: "unanswered: the manager's memory with 100,000", Value: memory, Unit: "MB", Goal: 512, Better: figure.Lower}), nil
}

// firstWaiting returns a request of the crowd as the manager leaves it: without an answer, because its project does not
// exist.
func firstWaiting(ctx context.Context, w *world.World) (*v1alpha1.DevcontainerImage, error) {
	if err := w.Namespace(ctx, crowd); err != nil {
		return nil, err
	}
	waiting := request(crowd, "first")
	waiting.Spec.ProjectRef.Name = "missing"
	if err := w.Client.Create(ctx, waiting); err != nil {
		return nil, fmt.Errorf("create request: %w", err)
	}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(waiting), waiting)
		return meta.FindStatusCondition(waiting.Status.Conditions, v1alpha1.ConditionReady) != nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the first waiting request: %w", err)
	}
	return waiting, nil
}

// settle waits until the manager has had nothing to do for a while.
func settle(ctx context.Context, manager *world.Process) error {
	const look, looks = time.Second, 5
	var busy float64
	quiet := 0
	for began := time.Now(); quiet < looks; {
		now, err := manager.CPUSeconds()
		if err != nil {
			return err
		}
		if quiet++; now-busy > calm*look.Seconds() {
			quiet = 0
		}
		if busy = now; time.Since(began) > 5*time.Minute {
			return errors.New("the manager does not come to rest")
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
	return nil
}
