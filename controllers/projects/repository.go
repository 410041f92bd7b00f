package projects

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// RepositoryOf returns a project's repository if it exists and belongs to the project. Its error is a wait for the
// project.
func RepositoryOf(project *v1alpha1.ProjectImageCache) (*v1alpha1.RepositoryStatus, error) {
	repository := project.Status.Repository
	if repository == nil || repository.URI == "" || !meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionRepositoryReady) {
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "the repository of project %s is not ready", project.Name)
	}
	return repository, nil
}

// ClosedRepositoryOf returns a project's repository if it also has its policy: only then is an image in it a hit, and
// only then is one published. Its error is a wait for the project.
func ClosedRepositoryOf(project *v1alpha1.ProjectImageCache) (*v1alpha1.RepositoryStatus, error) {
	repository, err := RepositoryOf(project)
	if err != nil {
		return nil, err
	}
	if !meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionRepositoryPolicyReady) {
		return nil, outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "the repository of project %s does not have its policy yet", project.Name)
	}
	return repository, nil
}
