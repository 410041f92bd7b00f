package controllers

import "imagecache.dev/api/v1alpha1"

// beginSeries begins, at zero, the series of a runner that alerts and ratios rest on. Prometheus' increase does not see the
// first of something whose series begins with it: one foreign image, one lost builder.
func beginSeries(namespace, region string) {
	lookups.WithLabelValues(namespace, string(v1alpha1.CacheHit), v1alpha1.ReasonImageFound)
	for _, reason := range []string{v1alpha1.ReasonImageNotFound, v1alpha1.ReasonExpired, v1alpha1.ReasonInvalidated, v1alpha1.ReasonRefresh, v1alpha1.ReasonNotVerified} {
		lookups.WithLabelValues(namespace, string(v1alpha1.CacheMiss), reason)
	}
	unknownLookups.WithLabelValues(namespace, v1alpha1.ReasonLookupFailed)
	for _, reason := range []string{
		v1alpha1.ReasonPublished, v1alpha1.ReasonAdopted, v1alpha1.ReasonBuildFailed, v1alpha1.ReasonBuilderLost,
		v1alpha1.ReasonUploadTimedOut, v1alpha1.ReasonManifestRejected,
	} {
		builds.WithLabelValues(namespace, reason)
	}
	coalesced.WithLabelValues(namespace)
	takeovers.WithLabelValues(namespace)
	publishedBytes.WithLabelValues(namespace)
	pulledBytes.WithLabelValues(namespace)
	saved.WithLabelValues(namespace)
	for _, outcome := range []string{outcomeSucceeded, outcomeFailed} {
		pulls.WithLabelValues(namespace, outcome)
		refreshes.WithLabelValues(namespace, outcome)
	}
	for _, kind := range []string{v1alpha1.CredentialsPull, v1alpha1.CredentialsPush} {
		grants.WithLabelValues(namespace, kind)
	}
	for _, kind := range []string{
		actionCreateRepository, actionSetImmutable, actionPutLifecyclePolicy, actionSetRepositoryPolicy, actionSetTags, actionRemoveTags, driftRole,
	} {
		drift.WithLabelValues(namespace, kind)
	}
	for _, outcome := range []string{outcomeSucceeded, outcomeFailed} {
		comparisons.WithLabelValues(region, outcome)
	}
	for _, cause := range []string{removedEvicted, removedInvalidated, removedReplaced} {
		imagesRemoved.WithLabelValues(namespace, cause)
	}
}
