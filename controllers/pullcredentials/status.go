package pullcredentials

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/outcome"
)

// pullFacts is what one pass did about a project's pull credentials.
type pullFacts struct {
	now      time.Time
	disabled bool
	action   pullAction
	// current are the credentials after the pass.
	current *v1alpha1.CredentialReference
	err     error
}

// pullStatus returns the project's status with new values for pull credentials. Everything else stays the same.
func pullStatus(project *v1alpha1.ProjectImageCache, f pullFacts) v1alpha1.ProjectImageCacheStatus {
	status := *project.Status.DeepCopy()
	status.PullCredentials = f.current
	condition := pullCondition(project.Generation, f)
	if condition == nil {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionPullCredentialsReady)
		return status
	}
	meta.SetStatusCondition(&status.Conditions, *condition)
	return status
}

// pullCondition returns the condition, or nil if no environment asks for credentials.
func pullCondition(generation int64, f pullFacts) *metav1.Condition {
	condition := &metav1.Condition{
		Type: v1alpha1.ConditionPullCredentialsReady, Status: metav1.ConditionFalse, ObservedGeneration: generation,
	}
	switch {
	case f.err == nil && f.disabled && f.action == pullRemove:
		condition.Reason, condition.Message = v1alpha1.ReasonDisabled, "the runner's cache is switched off, so environments pull nothing"
	case f.err == nil && f.current == nil:
		return nil
	case f.err == nil:
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		condition.Message = "environments pull with Secret " + f.current.SecretName
	case f.current == nil:
		condition.Reason, condition.Message = outcome.Reason(outcome.Paced(f.err))
	case f.now.Before(f.current.ExpiresAt.Time):
		_, why := outcome.Reason(outcome.Paced(f.err))
		condition.Reason = v1alpha1.ReasonRefreshFailed
		condition.Message = fmt.Sprintf("the credentials work until %s, but the controller can't replace them: %s", f.current.ExpiresAt.UTC().Format(time.RFC3339), why)
	default:
		_, why := outcome.Reason(outcome.Paced(f.err))
		condition.Reason = v1alpha1.ReasonCredentialsExpired
		condition.Message = fmt.Sprintf("the credentials expired at %s, and the controller can't replace them: %s", f.current.ExpiresAt.UTC().Format(time.RFC3339), why)
	}
	condition.Message = conditions.Shorten(condition.Message)
	return condition
}
