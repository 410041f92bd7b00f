package awstarget

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// ProjectRefusal returns why a project's repository must not be changed although AWS may be called for its runner. It
// returns nil if it may be changed.
func ProjectRefusal(project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache) error {
	stalled := meta.FindStatusCondition(runner.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case !meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionAccountReady) || runner.Status.PullRoleARN == "":
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the controller does not reach the AWS account of runner %s; see the runner's conditions", runner.Name)
	case stalled != nil && stalled.Status == metav1.ConditionTrue && project.Status.Repository == nil:
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: %s", runner.Name, stalled.Message)
	case runner.Spec.StackName != "" && runner.Status.StackTagsReadAt == nil:
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the tags of the stack of runner %s have not been read yet; see the runner's conditions", runner.Name)
	}
	return nil
}
