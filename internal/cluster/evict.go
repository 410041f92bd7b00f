package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Evict adds a hash to the hashes that the controller should evict.
func Evict(ctx context.Context, c client.Client, cache *v1alpha1.ProjectImageCache, hash string) error {
	before := cache.DeepCopy()
	if cache.Annotations == nil {
		cache.Annotations = map[string]string{}
	}
	asked := Evictions(cache)
	if slices.Contains(asked, hash) {
		return nil
	}
	cache.Annotations[v1alpha1.AnnotationEvict] = strings.Join(append(asked, hash), ",")
	err := c.Patch(ctx, cache, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("evict image: %w", Describe(err))
	}
	return nil
}

// IsEvicted reports whether the controller has removed the image of a hash, or was never asked to.
func IsEvicted(ctx context.Context, c client.Reader, key types.NamespacedName, hash string) (bool, error) {
	cache := &v1alpha1.ProjectImageCache{}
	if err := c.Get(ctx, key, cache); err != nil {
		return false, err
	}
	return !slices.Contains(Evictions(cache), hash), nil
}

// Evictions returns the hashes that the controller should evict and has not evicted yet.
func Evictions(cache *v1alpha1.ProjectImageCache) []string {
	value := cache.Annotations[v1alpha1.AnnotationEvict]
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}
