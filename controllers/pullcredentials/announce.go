package pullcredentials

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/notice"
)

// announce counts new credentials when the status shows them. It emits an event when credentials can't be replaced
// and when they can again, but not for ordinary refreshes.
func (r *Reconciler) announce(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts pullFacts) {
	countGrant(project, before, facts)
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionPullCredentialsReady)
	is := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionPullCredentialsReady)
	if is == nil || (was != nil && was.Reason == is.Reason) {
		return
	}
	switch {
	case is.Status == metav1.ConditionTrue:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "PullCredentialsReady", "Grant", "%s", is.Message)
	case !notice.IsOrdinaryWait(is.Reason):
		if before.PullCredentials != nil && !cannotRefresh(was) && cannotRefresh(is) {
			metric.Refreshes.WithLabelValues(project.Namespace, metric.OutcomeFailed).Inc()
		}
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, is.Reason, "Grant", "%s", is.Message)
	}
}

// countGrant counts credentials that the status shows for the first time.
func countGrant(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts pullFacts) {
	shown := project.Status.PullCredentials
	if shown == nil || (before.PullCredentials != nil && shown.ExpiresAt.Equal(&before.PullCredentials.ExpiresAt)) {
		return
	}
	metric.Grants.WithLabelValues(project.Namespace, v1alpha1.CredentialsPull).Inc()
	metric.CredentialSeconds.WithLabelValues(v1alpha1.CredentialsPull).Observe(shown.ExpiresAt.Sub(facts.now).Seconds())
	if before.PullCredentials != nil {
		metric.Refreshes.WithLabelValues(project.Namespace, metric.OutcomeSucceeded).Inc()
	}
}

// cannotRefresh reports whether a project's credentials are due for replacement and could not be replaced.
func cannotRefresh(condition *metav1.Condition) bool {
	return condition != nil && (condition.Reason == v1alpha1.ReasonRefreshFailed || condition.Reason == v1alpha1.ReasonCredentialsExpired)
}
