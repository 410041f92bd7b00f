// Package conditions collects the conditions of one pass and applies them to a status. It is pure.
package conditions

import (
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/message"
)

// Facts collects the conditions of one pass. Applied to the earlier conditions, it keeps the transition time of those
// that did not change and drops Reconciling and Stalled if they no longer hold.
type Facts struct {
	generation int64
	conditions []metav1.Condition
}

// For begins the conditions of a pass on an object of that generation.
func For(generation int64) *Facts { return &Facts{generation: generation} }

// Is records a condition.
func (f *Facts) Is(kind string, status metav1.ConditionStatus, reason, message string) *Facts {
	f.conditions = append(f.conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: Shorten(message), ObservedGeneration: f.generation,
	})
	return f
}

// Part records a positive condition: True if err is nil, and otherwise False with the error's reason and message.
func (f *Facts) Part(kind string, err error, message string) {
	if err == nil {
		f.Is(kind, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message)
		return
	}
	reason, text := outcome.Reason(err)
	f.Is(kind, metav1.ConditionFalse, reason, text)
}

// Summary records Ready with its two companions of kstatus: Stalled if only a person can help, and Reconciling while
// the controller continues without help. reason and message are those of Ready if err is nil; otherwise err has them.
func (f *Facts) Summary(err error, reason, message string) *Facts {
	if err == nil {
		return f.Is(v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
	}
	why, text := outcome.Reason(err)
	f.Is(v1alpha1.ConditionReady, metav1.ConditionFalse, why, text)
	var terminal *outcome.TerminalError
	if errors.As(err, &terminal) {
		return f.Is(v1alpha1.ConditionStalled, metav1.ConditionTrue, why, text)
	}
	return f.Is(v1alpha1.ConditionReconciling, metav1.ConditionTrue, why, text)
}

// ApplyTo writes the recorded conditions over before. It removes Reconciling and Stalled unless they were recorded,
// and keeps all other conditions that were not recorded.
func (f *Facts) ApplyTo(before []metav1.Condition) []metav1.Condition {
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

// Shorten puts a text on one line and cuts it to v1alpha1.MaxMessage characters.
func Shorten(text string) string { return message.Line(text, v1alpha1.MaxMessage) }
