package metric

import (
	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
)

// BeginSeries begins the series of a runner on which alerts and ratios rest, at zero. Prometheus' increase does not see the
// first event of a series that begins with it: one foreign image, one lost builder.
func BeginSeries(namespace, region string) {
	Lookups.WithLabelValues(namespace, string(v1alpha1.CacheHit), v1alpha1.ReasonImageFound)
	for _, reason := range []string{v1alpha1.ReasonImageNotFound, v1alpha1.ReasonExpired, v1alpha1.ReasonInvalidated, v1alpha1.ReasonRefresh, v1alpha1.ReasonNotVerified} {
		Lookups.WithLabelValues(namespace, string(v1alpha1.CacheMiss), reason)
	}
	UnknownLookups.WithLabelValues(namespace, v1alpha1.ReasonLookupFailed)
	for _, reason := range []string{
		v1alpha1.ReasonPublished, v1alpha1.ReasonAdopted, v1alpha1.ReasonBuildFailed, v1alpha1.ReasonBuilderLost,
		v1alpha1.ReasonUploadTimedOut, v1alpha1.ReasonManifestRejected,
	} {
		Builds.WithLabelValues(namespace, reason)
	}
	Coalesced.WithLabelValues(namespace)
	Takeovers.WithLabelValues(namespace)
	PublishedBytes.WithLabelValues(namespace)
	PulledBytes.WithLabelValues(namespace)
	Saved.WithLabelValues(namespace)
	for _, outcome := range []string{OutcomeSucceeded, OutcomeFailed} {
		Pulls.WithLabelValues(namespace, outcome)
		Refreshes.WithLabelValues(namespace, outcome)
	}
	for _, kind := range []string{v1alpha1.CredentialsPull, v1alpha1.CredentialsPush} {
		Grants.WithLabelValues(namespace, kind)
	}
	for _, kind := range []string{
		drift.ActionCreateRepository, drift.ActionSetImmutable, drift.ActionPutLifecyclePolicy, drift.ActionSetRepositoryPolicy, drift.ActionSetTags, drift.ActionRemoveTags, DriftRole,
	} {
		Drift.WithLabelValues(namespace, kind)
	}
	for _, outcome := range []string{OutcomeSucceeded, OutcomeFailed} {
		Comparisons.WithLabelValues(region, outcome)
	}
	for _, cause := range []string{RemovedEvicted, RemovedInvalidated, RemovedReplaced} {
		ImagesRemoved.WithLabelValues(namespace, cause)
	}
}
