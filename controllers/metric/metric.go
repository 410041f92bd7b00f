// Package metric holds the counters and histograms of the manager.
package metric

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// factory registers with the registry that the manager serves. docs/metrics.md describes every metric.
var factory = promauto.With(metrics.Registry)

// counter returns a registered counter.
func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// histogram returns a registered histogram.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return factory.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// LabelRunner is the namespace of the runner that a figure is about. Its name is not "namespace", because Prometheus
// sets that label to the namespace of the pod that it scrapes. No metric has a label for the project:
// docs/adr/0011-metrics-by-runner.md.
const LabelRunner = "runner_namespace"

// Values of labels that are not words of the API.
const (
	// LookupFound, LookupAbsent and LookupFailed are outcomes of a lookup in ECR. LookupFailed is neither a hit nor a miss:
	// the answer is unknown.
	LookupFound  = "Found"
	LookupAbsent = "Absent"
	LookupFailed = "Failed"
	// RemovedEvicted, RemovedExpired, RemovedInvalidated, RemovedReplaced and RemovedUnused are causes of an image's removal.
	// RemovedExpired is for archived images, which ECR's lifecycle rule does not remove.
	RemovedEvicted     = "Evicted"
	RemovedExpired     = "Expired"
	RemovedInvalidated = "Invalidated"
	RemovedReplaced    = "Replaced"
	RemovedUnused      = "Unused"
	// PrebuildPublished, PrebuildPresent and PrebuildFailed are outcomes of a prebuild: it published an image, the cache
	// had one (or another request built it meanwhile), or neither.
	PrebuildPublished = "Published"
	PrebuildPresent   = "Present"
	PrebuildFailed    = "Failed"
	// OutcomeSucceeded and OutcomeFailed are outcomes of an attempt.
	OutcomeSucceeded = "Succeeded"
	OutcomeFailed    = "Failed"
	// OutcomeAbandoned is the outcome of attempts that are not repeated any more.
	OutcomeAbandoned = "Abandoned"
	// DriftRole is the kind of drift of an IAM role. The other kinds are the actions of events about repositories.
	DriftRole = "EnsureRole"
)

// Attachments counts statements about published images.
var Attachments = counter("imagecache_attachments_total",
	"Attempts to attach the signed statement about an image to the image, by outcome (Succeeded, Failed, Abandoned: not tried any more). Only projects with spec.provenance Attach.",
	LabelRunner, "outcome")

// Answers.
var (
	Lookups = counter("imagecache_lookups_total",
		"Answers to environments, by result (Hit, Miss, Bypassed) and reason. Each service of a Docker Compose configuration has an answer of its own. Prebuilds don't count.",
		LabelRunner, "result", "reason")

	UnknownLookups = counter("imagecache_unknown_lookups_total",
		"Requests whose lookup began to fail, by reason: neither a hit nor a miss. A request counts once, regardless of its retries.",
		LabelRunner, "reason")

	AnswerSeconds = histogram("imagecache_answer_duration_seconds",
		"Time from a request's arrival at the manager to its written answer, by result. Requests from before the manager's start don't count.",
		[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}, "result")

	LookupSeconds = histogram("imagecache_lookup_duration_seconds",
		"Time of a lookup of one hash in ECR, with all AWS calls that it made or shared with other lookups, by outcome (Found, Absent, Failed).",
		[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}, "outcome")
)

// Builds and pulls.
var (
	Builds = counter("imagecache_builds_total",
		"Builds that ended, by the reason of the condition Published.",
		LabelRunner, "reason")

	BuildSeconds = histogram("imagecache_build_duration_seconds",
		"Duration of builds, as their runners reported it, by outcome (Succeeded, Failed).",
		[]float64{1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600}, "outcome")

	Prebuilds = counter("imagecache_prebuilds_total",
		"Prebuilds that ended, by outcome (Published, Present, Failed).",
		LabelRunner, "outcome")

	Coalesced = counter("imagecache_coalesced_builds_total",
		"Builds that were avoided: environments that waited for another environment's build of the same hash and got its image.",
		LabelRunner)

	Takeovers = counter("imagecache_build_takeovers_total",
		"Times that a waiting environment became the builder, because the previous builder ended without an image.",
		LabelRunner)

	PublishedBytes = counter("imagecache_published_bytes_total",
		"Compressed size of the published images, including layers that ECR already had.",
		LabelRunner)

	Pulls = counter("imagecache_pulls_total",
		"Pulls that runners reported, by outcome (Succeeded, Failed).",
		LabelRunner, "outcome")

	PullSeconds = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "imagecache_pull_duration_seconds",
		Help:    "Duration of pulls, as their runners reported it, in whole seconds, including failed pulls.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
	})

	PulledBytes = counter("imagecache_pulled_bytes_total",
		"Compressed size of the images that were pulled successfully, including layers that the machine already had.",
		LabelRunner)

	Saved = counter("imagecache_saved_seconds_total",
		"Build time that was saved: the duration of the image's build less the duration of its pull. Only reported durations count; a failed pull saves nothing. It is a sum over images: an environment whose Docker Compose services are built side by side waited for less.",
		LabelRunner)
)

// Credentials.
var (
	Grants = counter("imagecache_grants_total",
		"Credentials that were created, by kind (pull, push), including pull credentials that replace others.",
		LabelRunner, "kind")

	Refreshes = counter("imagecache_credential_refreshes_total",
		"Refreshes of pull credentials, by outcome (Succeeded, Failed). Repeated failures count once until a refresh succeeds.",
		LabelRunner, "outcome")

	CredentialSeconds = histogram("imagecache_credential_lifetime_seconds",
		"Lifetime of credentials at their creation, by kind (pull, push).",
		[]float64{300, 600, 900, 1800, 2700, 3600, 7200, 14400, 43200}, "kind")
)

// State kept in AWS.
var (
	Drift = counter("imagecache_drift_corrected_total",
		"Differences in AWS that were found and corrected, by the kind of correction.",
		LabelRunner, "kind")

	Comparisons = counter("imagecache_drift_comparisons_total",
		"Comparisons of all repositories of an account and region with their desired state, by outcome (Succeeded, Failed).",
		"region", "outcome")

	ImagesRemoved = counter("imagecache_images_removed_total",
		"Images that the manager removed, by cause (Evicted, Expired: archived and past retentionDays, Invalidated, Replaced, Unused). Images that ECR's lifecycle rule expires don't count.",
		LabelRunner, "cause")
)

// Wake-ups.
var (
	LostWakeups = begun(counter("imagecache_lost_wakeups_total",
		"Times that the objects which a change or drift concerns could not be listed and were not woken, by the kind of these objects.",
		"kind"), "DevcontainerImage", "ProjectImageCache", "RunnerImageCache")
)

// Gigabyte is the unit of ECR's storage price, in bytes.
const Gigabyte = 1 << 30
