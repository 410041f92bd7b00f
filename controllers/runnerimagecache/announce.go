package runnerimagecache

import (
	corev1 "k8s.io/api/core/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/notice"
)

// announce emits the events of a persisted status change, each once.
func (r *Reconciler) announce(runner *v1alpha1.RunnerImageCache, before *v1alpha1.RunnerImageCacheStatus) {
	notice.Ready(r.Recorder, runner, before.Conditions, runner.Status.Conditions)
	if before.StackTagsReadAt != nil && runner.Spec.StackName != "" && !sameTags(before.StackTags, runner.Status.StackTags) {
		r.Recorder.Eventf(runner, nil, corev1.EventTypeNormal, "StackTagsChanged", "ReadStack",
			"the tags of stack %s changed; the controller updates the repositories", runner.Spec.StackName)
	}
}
