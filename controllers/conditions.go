package controllers

import (
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

// maxMessage is the bound that the API sets on a condition's message, in characters, with room to spare.
const maxMessage = 1024

// facts collects the conditions of one pass; applied to what stood before, it keeps the time of those that did not
// change and drops the abnormal ones that no longer hold.
type facts struct {
	generation int64
	conditions []metav1.Condition
}

func factsFor(generation int64) *facts { return &facts{generation: generation} }

// is records a condition.
func (f *facts) is(kind string, status metav1.ConditionStatus, reason, message string) *facts {
	f.conditions = append(f.conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: shorten(message), ObservedGeneration: f.generation,
	})
	return f
}

// part records a positive condition: True without an error, and else False with the error's reason and sentence.
func (f *facts) part(kind string, err error, message string) {
	if err == nil {
		f.is(kind, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message)
		return
	}
	reason, text := reasonOf(err)
	f.is(kind, metav1.ConditionFalse, reason, text)
}

// summary records Ready with its two companions of kstatus: Stalled where only a person can help, Reconciling while the
// controller goes on by itself.
func (f *facts) summary(err error, reason, message string) *facts {
	if err == nil {
		return f.is(v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
	}
	why, text := reasonOf(err)
	f.is(v1alpha1.ConditionReady, metav1.ConditionFalse, why, text)
	var terminal *TerminalError
	if errors.As(err, &terminal) {
		return f.is(v1alpha1.ConditionStalled, metav1.ConditionTrue, why, text)
	}
	return f.is(v1alpha1.ConditionReconciling, metav1.ConditionTrue, why, text)
}

// applyTo writes the recorded conditions over before. Reconciling and Stalled that were not recorded are removed; other
// conditions that were not recorded stay.
func (f *facts) applyTo(before []metav1.Condition) []metav1.Condition {
	after := make([]metav1.Condition, len(before))
	copy(after, before)
	recorded := map[string]bool{}
	for _, condition := range f.conditions {
		recorded[condition.Type] = true
		meta.SetStatusCondition(&after, condition)
	}
	for _, abnormal := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if !recorded[abnormal] {
			meta.RemoveStatusCondition(&after, abnormal)
		}
	}
	return after
}

// awsReason is the API's reason for a class of AWS errors.
func awsReason(class aws.Class) string {
	switch class {
	case aws.ClassAccessDenied:
		return v1alpha1.ReasonAccessDenied
	case aws.ClassThrottled:
		return v1alpha1.ReasonThrottled
	default:
		return v1alpha1.ReasonAWSError
	}
}

// shorten keeps a message within the API's bound and on one line.
func shorten(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	runes := []rune(message)
	if len(runes) <= maxMessage {
		return message
	}
	return string(runes[:maxMessage-1]) + "…"
}
