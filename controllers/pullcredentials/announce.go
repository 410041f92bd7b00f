package pullcredentials

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/notice"
)

// announce counts what was made, once the status shows it, and tells of credentials that can't be replaced and of the
// end of that; ordinary refreshes are no news.
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

// cannotRefresh says whether a project's credentials should have been replaced by now and could not be.
func cannotRefresh(condition *metav1.Condition) bool {
	return condition != nil && (condition.Reason == v1alpha1.ReasonRefreshFailed || condition.Reason == v1alpha1.ReasonCredentialsExpired)
}
