// Package projects reads the parts of a ProjectImageCache that several reconcilers need, and writes its status.
package projects

import (
	"context"
	"fmt"
	"reflect"

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

// PatchStatus writes a status if it differs from before. Two reconcilers write parts of it, and the patch replaces
// the list of conditions as a whole, so a pass that read an older object must fail with a conflict.
func PatchStatus(ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache, status v1alpha1.ProjectImageCacheStatus) error {
	if reflect.DeepEqual(project.Status, status) {
		return nil
	}
	before := project.DeepCopy()
	project.Status = status
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(c.Status().Patch(ctx, project, patch)); err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	return nil
}
