// Package metric holds the counters and histograms of the manager.
package metric

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// factory registers with the registry that the manager serves. docs/metrics.md describes every metric.
var factory = promauto.With(metrics.Registry)

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
	// RemovedEvicted, RemovedInvalidated and RemovedReplaced are causes of an image's removal.
	RemovedEvicted     = "Evicted"
	RemovedInvalidated = "Invalidated"
	RemovedReplaced    = "Replaced"
	// OutcomeSucceeded and OutcomeFailed are outcomes of an attempt.
	OutcomeSucceeded = "Succeeded"
	OutcomeFailed    = "Failed"
	// DriftRole is the kind of drift of an IAM role. The other kinds are the actions of events about repositories.
	DriftRole = "EnsureRole"
)

// Answers.
var (
	Lookups = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_lookups_total",
		Help: "Answers to environments, by result (Hit, Miss, Bypassed) and reason.",
	}, []string{LabelRunner, "result", "reason"})

	UnknownLookups = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_unknown_lookups_total",
		Help: "Requests whose lookup began to fail, by reason: neither a hit nor a miss. A request counts once, regardless of its retries.",
	}, []string{LabelRunner, "reason"})

	AnswerSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_answer_duration_seconds",
		Help:    "Time from a request's arrival at the manager to its written answer, by result. Requests from before the manager's start don't count.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
	}, []string{"result"})

	LookupSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_lookup_duration_seconds",
		Help:    "Time of a lookup of one hash in ECR, with all AWS calls that it made or shared with other lookups, by outcome (Found, Absent, Failed).",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
	}, []string{"outcome"})
)

// Builds and pulls.
var (
	Builds = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_builds_total",
		Help: "Builds that ended, by the reason of the condition Published.",
	}, []string{LabelRunner, "reason"})

	BuildSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_build_duration_seconds",
		Help:    "Duration of builds, as their runners reported it, by outcome (Succeeded, Failed).",
		Buckets: []float64{1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600},
	}, []string{"outcome"})

	Coalesced = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_coalesced_builds_total",
		Help: "Builds that were avoided: environments that waited for another environment's build of the same hash and got its image.",
	}, []string{LabelRunner})

	Takeovers = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_build_takeovers_total",
		Help: "Times that a waiting environment became the builder, because the previous builder ended without an image.",
	}, []string{LabelRunner})

	PublishedBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_published_bytes_total",
		Help: "Compressed size of the published images, including layers that ECR already had.",
	}, []string{LabelRunner})

	Pulls = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulls_total",
		Help: "Pulls that runners reported, by outcome (Succeeded, Failed).",
	}, []string{LabelRunner, "outcome"})

	PullSeconds = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "imagecache_pull_duration_seconds",
		Help:    "Duration of pulls, as their runners reported it, in whole seconds, including failed pulls.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
	})

	PulledBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulled_bytes_total",
		Help: "Compressed size of the images that were pulled successfully, including layers that the machine already had.",
	}, []string{LabelRunner})

	Saved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_saved_seconds_total",
		Help: "Build time that was saved: the duration of the image's build less the duration of its pull. Only reported durations count; a failed pull saves nothing.",
	}, []string{LabelRunner})
)

// Credentials.
var (
	Grants = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_grants_total",
		Help: "Credentials that were created, by kind (pull, push), including pull credentials that replace others.",
	}, []string{LabelRunner, "kind"})

	Refreshes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_credential_refreshes_total",
		Help: "Refreshes of pull credentials, by outcome (Succeeded, Failed). Repeated failures count once until a refresh succeeds.",
	}, []string{LabelRunner, "outcome"})

	CredentialSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_credential_lifetime_seconds",
		Help:    "Lifetime of credentials at their creation, by kind (pull, push).",
		Buckets: []float64{300, 600, 900, 1800, 2700, 3600, 7200, 14400, 43200},
	}, []string{"kind"})
)

// State kept in AWS.
var (
	Drift = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_corrected_total",
		Help: "Differences in AWS that were found and corrected, by the kind of correction.",
	}, []string{LabelRunner, "kind"})

	Comparisons = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_comparisons_total",
		Help: "Comparisons of all repositories of an account and region with their desired state, by outcome (Succeeded, Failed).",
	}, []string{"region", "outcome"})

	ImagesRemoved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_images_removed_total",
		Help: "Images that the manager removed, by cause (Evicted, Invalidated, Replaced). Images that ECR's lifecycle rule expires don't count.",
	}, []string{LabelRunner, "cause"})
)

// Wake-ups.
var (
	LostWakeups = begun(factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_lost_wakeups_total",
		Help: "Times that the objects which a change or drift concerns could not be listed and were not woken, by the kind of these objects.",
	}, []string{"kind"}), "DevcontainerImage", "ProjectImageCache", "RunnerImageCache")
)

// Gigabyte is the unit of ECR's storage price, in bytes.
const Gigabyte = 1 << 30
