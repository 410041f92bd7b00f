package cluster

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Invalidate makes the images of a project that were published before a time count as absent. It fails with a conflict
// if the project was changed since it was read.
func Invalidate(ctx context.Context, c client.Client, cache *v1alpha1.ProjectImageCache, before time.Time) error {
	changed := cache.DeepCopy()
	at := metav1.NewTime(before)
	changed.Spec.InvalidatePushedBefore = &at
	if err := c.Patch(ctx, changed, client.MergeFromWithOptions(cache, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("invalidate images: %w", err)
	}
	return nil
}

// SwitchCache switches a runner's cache on or off. It fails with a conflict if the runner was changed since it was
// read.
func SwitchCache(
	ctx context.Context, c client.Client, runner *v1alpha1.RunnerImageCache, mode v1alpha1.CacheMode,
) error {
	changed := runner.DeepCopy()
	changed.Spec.Cache = mode
	err := c.Patch(ctx, changed, client.MergeFromWithOptions(runner, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("switch cache: %w", err)
	}
	return nil
}
