package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"imagecache.dev/api/v1alpha1"
)

// Reasons of events about runners and projects.
const (
	// eventReady: the object became ready.
	eventReady = "Ready"
	// eventDriftCorrected: something in AWS was not as it was left, and was put right; the note says what was found.
	eventDriftCorrected = "DriftCorrected"
	// eventAbandoned: the object was let go without touching AWS.
	eventAbandoned = "Abandoned"
)

// announce tells what a persisted status changed, never the same twice.
func (r *RunnerImageCacheReconciler) announce(runner *v1alpha1.RunnerImageCache, before *v1alpha1.RunnerImageCacheStatus) {
	announceReady(r.Recorder, runner, before.Conditions, runner.Status.Conditions)
	if before.StackTagsReadAt != nil && runner.Spec.StackName != "" && !sameTags(before.StackTags, runner.Status.StackTags) {
		r.Recorder.Eventf(runner, nil, corev1.EventTypeNormal, "StackTagsChanged", "ReadStack",
			"the tags of stack %s changed; repositories follow", runner.Spec.StackName)
	}
}

// announceReady tells when an object became ready, and when it stopped being so or could not become it.
func announceReady(recorder events.EventRecorder, object runtime.Object, before, after []metav1.Condition) {
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
		return
	}
	switch {
	case is.Status == metav1.ConditionTrue:
		recorder.Eventf(object, nil, corev1.EventTypeNormal, eventReady, "Reconcile", "%s", is.Message)
	case !isOrdinaryWait(is.Reason):
		recorder.Eventf(object, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
	}
}

// isOrdinaryWait knows the reasons for not being ready that nobody has to look at.
func isOrdinaryWait(reason string) bool {
	switch reason {
	case v1alpha1.ReasonProgressing, v1alpha1.ReasonWaitingForRunner, v1alpha1.ReasonThrottled, v1alpha1.ReasonDeleting,
		v1alpha1.ReasonRoleNotAssumable:
		return true
	}
	return false
}
