package cluster

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/provenance"
)

// SigningKeys returns a Verifier with the keys in the status of a project's runner. It returns nil if the status has
// none: the controller is of a version that signs nothing.
func SigningKeys(
	ctx context.Context, c client.Reader, project *v1alpha1.ProjectImageCache,
) (*provenance.Verifier, error) {
	runner := &v1alpha1.RunnerImageCache{}
	key := types.NamespacedName{Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name}
	if err := persist(ctx, func(ctx context.Context) error { return c.Get(ctx, key, runner) }); err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	if len(runner.Status.SigningKeys) == 0 {
		return nil, nil
	}
	var keys []provenance.Key
	for _, published := range runner.Status.SigningKeys {
		parsed, err := provenance.ParseKey([]byte(published.PublicKey))
		if err != nil {
			continue // of a later version
		}
		keys = append(keys, parsed)
	}
	return provenance.NewVerifier(keys...), nil
}

// RepositoryARN returns the ARN of a project's repository. It reads the project again if the repository was created
// since.
func RepositoryARN(ctx context.Context, c client.Reader, project *v1alpha1.ProjectImageCache) (string, error) {
	if project.Status.Repository == nil {
		project = project.DeepCopy()
		key := client.ObjectKeyFromObject(project)
		if err := persist(ctx, func(ctx context.Context) error { return c.Get(ctx, key, project) }); err != nil {
			return "", fmt.Errorf("read project: %w", err)
		}
	}
	if project.Status.Repository == nil {
		return "", fmt.Errorf("project %s has no repository yet", project.Name)
	}
	return project.Status.Repository.ARN, nil
}
