package projects

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// RepositoryOf returns a project's repository if images can be looked up in it. Its error is a wait for the project.
func RepositoryOf(project *v1alpha1.ProjectImageCache) (*v1alpha1.RepositoryStatus, error) {
	repository := project.Status.Repository
	if repository == nil || repository.URI == "" || !meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionRepositoryReady) {
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "the repository of project %s is not ready", project.Name)
	}
	return repository, nil
}
