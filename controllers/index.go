package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Names of the cache's indexes. Those of spec fields are also the API's selectable fields, so that the same look-up
// works against the API server.
const (
	indexDCIProject     = "spec.projectRef.name"
	indexDCIEnvironment = "spec.environmentID"
	indexDCIHash        = "status.configHash"
	indexProjectRunner  = "spec.runnerRef.name"
	indexRunnerID       = "spec.runnerID"
)

// IndexFields registers the indexes that the reconcilers look objects up by. Call it once, before the manager starts.
func IndexFields(ctx context.Context, indexer client.FieldIndexer) error {
	indexes := []struct {
		object client.Object
		field  string
		value  func(client.Object) string
	}{
		{&v1alpha1.DevcontainerImage{}, indexDCIProject, func(o client.Object) string {
			if ref := o.(*v1alpha1.DevcontainerImage).Spec.ProjectRef; ref != nil {
				return ref.Name
			}
			return ""
		}},
		{&v1alpha1.DevcontainerImage{}, indexDCIEnvironment, func(o client.Object) string {
			return o.(*v1alpha1.DevcontainerImage).Spec.EnvironmentID
		}},
		{&v1alpha1.DevcontainerImage{}, indexDCIHash, func(o client.Object) string {
			return o.(*v1alpha1.DevcontainerImage).Status.ConfigHash
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
