// Package indexes holds the indexes of the manager's cache and the predicates of requests that the indexes use.
package indexes

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Names of the cache's indexes. Requests are kept long after they are finished. Lookups that an environment waits for
// have indexes of unfinished requests, so that their cost does not grow with the number of finished ones.
const (
	// Environment holds requests by a share of their environments' IDs; see EnvironmentShare.
	Environment = "share/spec.environmentID"
	// OpenProject and OpenHash hold the unfinished requests of a project, and of a hash.
	OpenProject = "unfinished/spec.projectRef.name"
	OpenHash    = "unfinished/status.configHash"
	// PublishedProject holds the requests of a project whose own image was published.
	PublishedProject = "published/spec.projectRef.name"
	// ProjectRunner holds the projects of a runner, and RunnerID the runners of an ID, of all namespaces.
	ProjectRunner = "spec.runnerRef.name"
	RunnerID      = "spec.runnerID"
)

// Register registers the indexes that the reconcilers use. Call it once, before the manager starts.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	indexes := []struct {
		object client.Object
		field  string
		value  func(client.Object) string
	}{
		{&v1alpha1.DevcontainerImage{}, Environment, func(o client.Object) string {
			return EnvironmentShare(o.(*v1alpha1.DevcontainerImage).Spec.EnvironmentID)
		}},
		{&v1alpha1.DevcontainerImage{}, OpenProject, func(o client.Object) string {
			return when(o, IsOpen, projectName)
		}},
		{&v1alpha1.DevcontainerImage{}, OpenHash, func(o client.Object) string {
			return when(o, IsOpen, func(image *v1alpha1.DevcontainerImage) string { return image.Status.ConfigHash })
		}},
		{&v1alpha1.DevcontainerImage{}, PublishedProject, func(o client.Object) string {
			return when(o, HasPublished, projectName)
		}},
		{&v1alpha1.ProjectImageCache{}, ProjectRunner, func(o client.Object) string {
			return o.(*v1alpha1.ProjectImageCache).Spec.RunnerRef.Name
		}},
		{&v1alpha1.RunnerImageCache{}, RunnerID, func(o client.Object) string {
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

// Requests lists the requests of a namespace that an index holds under a value. The result shares its contents with
// the cache: it is read-only.
func Requests(ctx context.Context, reader client.Reader, namespace, index, value string) ([]v1alpha1.DevcontainerImage, error) {
	var list v1alpha1.DevcontainerImageList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list requests by %s: %w", index, err)
	}
	return list.Items, nil
}

// when returns the index value of a request that belongs in the index, and "" for another request.
func when(o client.Object, belongs func(*v1alpha1.DevcontainerImage) bool, value func(*v1alpha1.DevcontainerImage) string) string {
	if image := o.(*v1alpha1.DevcontainerImage); belongs(image) {
		return value(image)
	}
	return ""
}
