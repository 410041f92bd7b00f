// Package projects reads the parts of a ProjectImageCache that several reconcilers need.
package projects

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// RunnerOf returns the project's runner, or nil if it does not exist.
func RunnerOf(ctx context.Context, reader client.Reader, project *v1alpha1.ProjectImageCache) (*v1alpha1.RunnerImageCache, error) {
	runner := &v1alpha1.RunnerImageCache{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name}, runner)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the project's runner: %w", err)
	}
	return runner, nil
}
