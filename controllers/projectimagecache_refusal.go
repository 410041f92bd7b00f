package controllers

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// projectRefusal says why a project's repository must not be worked on: nil if it may.
func projectRefusal(project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache) error {
	stalled := meta.FindStatusCondition(runner.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case runner.Spec.Provider != v1alpha1.ProviderAWSEC2:
		return terminalf(v1alpha1.ReasonUnsupportedProvider, "runner %s is of provider %s, which can't cache images; only %s runners can",
			runner.Name, runner.Spec.Provider, v1alpha1.ProviderAWSEC2)
	case !observed(runner):
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the latest change of runner %s has not been looked at yet", runner.Name)
	case !meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionAccountReady) || runner.Status.PullRoleARN == "":
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s does not reach its AWS account; see its conditions", runner.Name)
	case stalled != nil && stalled.Status == metav1.ConditionTrue && (project.Status.Repository == nil || stopsAll(stalled.Reason)):
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s: %s", runner.Name, stalled.Message)
	case runner.Spec.StackName != "" && runner.Status.StackTagsReadAt == nil:
		return waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the tags of runner %s's stack were not read yet; see its conditions", runner.Name)
	}
	return nil
}

// observed says whether a runner was looked at as it is now. One that was not may name a role that its namespace must not
// use, so nothing is asked of AWS for it.
func observed(runner *v1alpha1.RunnerImageCache) bool {
	return runner.Status.ObservedGeneration == runner.Generation
}

// stopsAll knows what is wrong with a runner that makes its repositories untouchable, beyond keeping new ones from
// being made.
func stopsAll(reason string) bool {
	switch reason {
	case v1alpha1.ReasonAccountMismatch, v1alpha1.ReasonRunnerIDInUse, v1alpha1.ReasonUnsupportedProvider, v1alpha1.ReasonAssumeRoleNotAllowed:
		return true
	}
	return false
}
