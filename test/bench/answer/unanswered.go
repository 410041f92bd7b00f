package answer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

const (
	// waitingRequests is how many requests of one namespace wait for a project that does not exist, and arriving how many of
	// them arrive while answers are measured.
	waitingRequests = 100_000
	arriving        = 10_000
	// crowd is their namespace.
	crowd = "crowd"
	// others is how the requests of the other namespace are made, before and afterwards.
	othersAtOnce, others = 10, 1000
	// calm is what share of one CPU a manager takes that has nothing to do.
	calm = 0.1
)

// RunUnanswered measures how soon one namespace's requests are answered while another namespace has a hundred thousand
// requests without an answer: while the last of them arrive, while they lie, when all of them wake, and when the manager
// starts again meanwhile. Each is compared with the same before.
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
	m := &moments{w: w, level: level{othersAtOnce, others}, took: map[moment][]time.Duration{}}
	memory, err := m.measureLying(ctx, manager, waiting)
	if err != nil {
		return m.figures(), err
	}
	if err := wakeAll(ctx, w, waiting); err != nil {
		return m.figures(), err
	}
	if err := errors.Join(m.measure(ctx, whenAllWake), manager.Stop()); err != nil {
		return m.figures(), err
	}
	again, err := w.StartProcess(folder)
	if err != nil {
		return m.figures(), err
	}
	defer func() { err = errors.Join(err, again.Stop()) }()
	if err := m.first(ctx); err != nil {
		return m.figures(), err
	}
	err = m.measure(ctx, afterRestart)
	return append(m.figures(), memory), err
}

// measureLying measures before the crowd exists, while the last of it arrive, and when all lie, and what memory the manager
// then has. The crowd comes faster than through the API server, which would then be what is measured.
func (m *moments) measureLying(ctx context.Context, manager *world.Process, waiting *v1alpha1.DevcontainerImage) (memory figure.Figure, err error) {
	lying := waitingRequests - arriving
	for _, step := range []func() error{
		func() error { return settle(ctx, manager) },
		func() error { return m.measure(ctx, before) },
		func() error {
			return seed(ctx, m.w, lying, func(n int) *v1alpha1.DevcontainerImage { return nth(waiting, n) })
		},
		func() error { return settle(ctx, manager) },
		func() error {
			return seed(ctx, m.w, arriving, func(n int) *v1alpha1.DevcontainerImage { return unseen(waiting, lying+n) })
		},
		func() error { return m.measure(ctx, whileTheyArrive) },
		func() error { return settle(ctx, manager) },
		func() error { return m.measure(ctx, whileTheyLie) },
	} {
		if err := step(); err != nil {
			return memory, err
		}
	}
	holds, err := manager.Memory("VmRSS")
	return figure.Figure{Name: "unanswered: the manager's memory with 100,000", Value: holds, Unit: "MB", Goal: 512, Better: figure.Lower}, err
}

// wakeAll makes the project that the crowd waits for. It names a runner that does not exist, so each request has a pass,
// writes its status and waits on.
func wakeAll(ctx context.Context, w *world.World, waiting *v1alpha1.DevcontainerImage) error {
	err := w.Client.Create(ctx, &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: waiting.Namespace, Name: waiting.Spec.ProjectRef.Name},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "missing"}, ProjectID: "missing"},
	})
	if err != nil {
		return fmt.Errorf("make the project: %w", err)
	}
	return nil
}

// unseen is the n-th request like one that exists, as it was before the manager saw it.
func unseen(like *v1alpha1.DevcontainerImage, n int) *v1alpha1.DevcontainerImage {
	request := nth(like, n)
	request.Status = v1alpha1.DevcontainerImageStatus{}
	return request
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
