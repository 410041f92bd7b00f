package metric

import (
	"github.com/prometheus/client_golang/prometheus"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
)

// BeginSeries creates, at zero, the series of a runner that alerts and ratios use. Prometheus' increase does not
// count the first event of a series that begins with it, such as one foreign image or one lost builder.
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
	for _, outcome := range []string{PrebuildPublished, PrebuildPresent, PrebuildFailed} {
		Prebuilds.WithLabelValues(namespace, outcome)
	}
	for _, outcome := range []string{OutcomeSucceeded, OutcomeFailed, OutcomeAbandoned} {
		Attachments.WithLabelValues(namespace, outcome)
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
	for _, cause := range []string{RemovedEvicted, RemovedExpired, RemovedInvalidated, RemovedReplaced, RemovedUnused} {
		ImagesRemoved.WithLabelValues(namespace, cause)
	}
}

// begun returns a counter of one label with a series, at zero, for each value of the label.
func begun(counter *prometheus.CounterVec, values ...string) *prometheus.CounterVec {
	for _, value := range values {
		counter.WithLabelValues(value)
	}
	return counter
}
