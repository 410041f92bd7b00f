package controllers

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Names of the cache's indexes. Requests are kept long after they are finished, so those that are looked for while
// somebody waits have indexes of their own: what it takes to find them does not grow with what is finished.
const (
	// indexEnvironment holds requests by a share of their environments' IDs, see environmentShare.
	indexEnvironment = "share/spec.environmentID"
	// indexOpenProject and indexOpenHash hold the unfinished requests of a project, and of a hash.
	indexOpenProject = "unfinished/spec.projectRef.name"
	indexOpenHash    = "unfinished/status.configHash"
	// indexPublishedProject holds the requests of a project that ended with an image which they built.
	indexPublishedProject = "published/spec.projectRef.name"
	indexProjectRunner    = "spec.runnerRef.name"
	indexRunnerID         = "spec.runnerID"
)

// IndexFields registers the indexes that the reconcilers look objects up by. Call it once, before the manager starts.
func IndexFields(ctx context.Context, indexer client.FieldIndexer) error {
	indexes := []struct {
		object client.Object
		field  string
		value  func(client.Object) string
	}{
		{&v1alpha1.DevcontainerImage{}, indexEnvironment, func(o client.Object) string {
			return environmentShare(o.(*v1alpha1.DevcontainerImage).Spec.EnvironmentID)
		}},
		{&v1alpha1.DevcontainerImage{}, indexOpenProject, func(o client.Object) string {
			return when(o, isOpen, projectName)
		}},
		{&v1alpha1.DevcontainerImage{}, indexOpenHash, func(o client.Object) string {
			return when(o, isOpen, func(image *v1alpha1.DevcontainerImage) string { return image.Status.ConfigHash })
		}},
		{&v1alpha1.DevcontainerImage{}, indexPublishedProject, func(o client.Object) string {
			return when(o, hasPublished, projectName)
		}},
		{&v1alpha1.ProjectImageCache{}, indexProjectRunner, func(o client.Object) string {
			return o.(*v1alpha1.ProjectImageCache).Spec.RunnerRef.Name
		}},
		{&v1alpha1.RunnerImageCache{}, indexRunnerID, func(o client.Object) string {
			return o.(*v1alpha1.RunnerImageCache).Spec.RunnerID
		}},
	}
	for _, index := range indexes {
		extract := func(o client.Object) []string {
			if value := index.value(o); value != "" {
				return []string{value}
			}
			return nil
		}
		if err := indexer.IndexField(ctx, index.object, index.field, extract); err != nil {
			return fmt.Errorf("index %T by %s: %w", index.object, index.field, err)
		}
	}
	return nil
}

// listRequests lists the requests of a namespace that an index holds under a value. They share their contents with the
// cache: read only.
func listRequests(ctx context.Context, reader client.Reader, namespace, index, value string) ([]v1alpha1.DevcontainerImage, error) {
	var list v1alpha1.DevcontainerImageList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list requests by %s: %w", index, err)
	}
	return list.Items, nil
}

// when is the indexed value of a request that belongs in an index, and nothing of another.
func when(o client.Object, belongs func(*v1alpha1.DevcontainerImage) bool, value func(*v1alpha1.DevcontainerImage) string) string {
	if image := o.(*v1alpha1.DevcontainerImage); belongs(image) {
		return value(image)
	}
	return ""
}

func isOpen(image *v1alpha1.DevcontainerImage) bool { return image.Status.FinishedAt == nil }

// environmentShare puts an environment into one of 4,096 shares. Almost every finished request is its environment's only
// one, and an index with an entry for each takes as much memory as the requests themselves.
func environmentShare(environmentID string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(environmentID)) // never fails
	return strconv.FormatUint(uint64(sum.Sum32()%4096), 16)
}

// isAtRest says whether nothing is left to do about a request but to remove it in time.
func isAtRest(image *v1alpha1.DevcontainerImage) bool {
	return image.Status.FinishedAt != nil && image.Status.ObservedGeneration == image.Generation &&
		len(image.Finalizers) == 0 && image.DeletionTimestamp.IsZero()
}

// hasPublished says whether a request ended as a builder whose image is in the repository.
func hasPublished(image *v1alpha1.DevcontainerImage) bool {
	return image.Status.Role == v1alpha1.RoleBuilder && image.Status.FinishedAt != nil && image.Status.Image != nil
}

// projectName is the name of a request's project, empty without one.
func projectName(image *v1alpha1.DevcontainerImage) string {
	if image.Spec.ProjectRef == nil {
		return ""
	}
	return image.Spec.ProjectRef.Name
}
