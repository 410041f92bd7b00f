// Package notice emits the events that several kinds share.
package notice

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"imagecache.dev/api/v1alpha1"
)

// eventReady is the reason of the event for an object that became ready.
const eventReady = "Ready"

// Abandoned is the reason of the event for an object that was released without calling AWS.
const Abandoned = "Abandoned"

// Ready emits an event when an object becomes ready, and when it is not ready for another reason than before, unless
// that reason is an ordinary wait.
func Ready(recorder events.EventRecorder, object runtime.Object, before, after []metav1.Condition) {
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
		return
	}
	switch {
	case is.Status == metav1.ConditionTrue:
		recorder.Eventf(object, nil, corev1.EventTypeNormal, eventReady, "Reconcile", "%s", is.Message)
	case !IsOrdinaryWait(is.Reason):
		recorder.Eventf(object, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
	}
}

// IsOrdinaryWait reports whether a reason for not being ready needs nobody's attention.
func IsOrdinaryWait(reason string) bool {
	switch reason {
	case v1alpha1.ReasonProgressing, v1alpha1.ReasonWaitingForRunner, v1alpha1.ReasonThrottled, v1alpha1.ReasonDeleting,
		v1alpha1.ReasonRoleNotAssumable:
		return true
	}
	return false
}
