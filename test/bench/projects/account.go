// Package projects measures what keeping many projects' repositories costs: calls to AWS, time, memory.
package projects

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/bench/world"
)

const (
	namespace = "bench"
	runner    = "r1"
	// creators is how many projects are created at the same time.
	creators = 16
)

// account is a world of which the projects are created and read.
type account struct{ *world.World }

// apply makes the namespace and the runner.
func (w account) apply(ctx context.Context) error {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&v1alpha1.RunnerImageCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: runner},
			Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: runner, Region: w.AWS.Region()},
		},
	}
	for _, object := range objects {
		if err := w.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("create %s: %w", object.GetName(), err)
		}
	}
	return wait(ctx, func() (bool, error) {
		found := &v1alpha1.RunnerImageCache{}
		err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: runner}, found)
		return meta.IsStatusConditionTrue(found.Status.Conditions, v1alpha1.ConditionReady), err
	})
}

// createProjects creates so many projects whose names begin with prefix.
func (w account) createProjects(ctx context.Context, prefix string, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for n := range count {
		group.Go(func() error {
			name := fmt.Sprintf("%s-%05d", prefix, n)
			err := w.Client.Create(ctx, &v1alpha1.ProjectImageCache{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
				Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: runner}, ProjectID: name},
			})
			if err != nil {
				return fmt.Errorf("create project: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// allReady waits until so many projects are ready, of which made come after the call log was reset. It reads them, which costs the API server much, only once their
// repositories are made.
func (w account) allReady(ctx context.Context, made, count int) error {
	err := wait(ctx, func() (bool, error) { return w.AWS.Calls().Count("ecr:SetRepositoryPolicy") >= made, nil })
	if err != nil {
		return err
	}
	return wait(ctx, func() (bool, error) {
		var list v1alpha1.ProjectImageCacheList
		if err := w.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		ready := 0
		for n := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[n].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		return ready >= count, nil
	})
}

// wait asks twice a second until the answer is yes.
func wait(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := done()
		if yes || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// idle waits until AWS was not called for a while.
func (w account) idle(ctx context.Context, quiet time.Duration) error {
	last, since := -1, time.Now()
	return wait(ctx, func() (bool, error) {
		if total := w.AWS.Calls().Total(); total != last {
			last, since = total, time.Now()
		}
		return time.Since(since) >= quiet, nil
	})
}
