// Package metric holds the counters and histograms of the manager.
package metric

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// factory registers with the registry that the manager serves. Every metric has its entry in docs/metrics.md.
var factory = promauto.With(metrics.Registry)

// LabelRunner is the label for the namespace of a runner. It is not called namespace, which Prometheus sets to that of the
// pod that it scrapes. No metric has a label for the project: docs/adr/0011-metrics-by-runner.md.
const LabelRunner = "runner_namespace"

// Values of labels that are not words of the API.
const (
	// How a look into ECR ended. LookupFailed is neither of the others: the answer is not known.
	LookupFound  = "Found"
	LookupAbsent = "Absent"
	LookupFailed = "Failed"
	// Why an image was removed.
	RemovedEvicted     = "Evicted"
	RemovedInvalidated = "Invalidated"
	RemovedReplaced    = "Replaced"
	// Whether an attempt worked.
	OutcomeSucceeded = "Succeeded"
	OutcomeFailed    = "Failed"
	// DriftRole is the kind of a drift that an IAM role had; the others are the actions of events about repositories.
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
		Help: "Requests whose lookup began to fail, by reason: neither hit nor miss. A request counts once, however often it is tried again.",
	}, []string{LabelRunner, "reason"})

	AnswerSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_answer_duration_seconds",
		Help:    "Time from a request's arrival at the manager to its written answer, by result. Requests that were there before the manager started don't count.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
	}, []string{"result"})

	LookupSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_lookup_duration_seconds",
		Help:    "Time of a look into ECR for one hash, with all AWS calls that it took or shared with others, by what came of it (Found, Absent, Failed).",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
	}, []string{"outcome"})
)

// Builds and pulls.
var (
	Builds = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_builds_total",
		Help: "Builds that ended, by what became of their image for the cache: the reason of the condition Published.",
	}, []string{LabelRunner, "reason"})

	BuildSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_build_duration_seconds",
		Help:    "How long builds took, as their runners reported it, by outcome (Succeeded, Failed).",
		Buckets: []float64{1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600},
	}, []string{"outcome"})

	Coalesced = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_coalesced_builds_total",
		Help: "Builds that did not have to be: environments that waited for another's build of the same hash and got its image.",
	}, []string{LabelRunner})

	Takeovers = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_build_takeovers_total",
		Help: "Times that a waiting environment became the builder, because the one before it ended without an image.",
	}, []string{LabelRunner})

	PublishedBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_published_bytes_total",
		Help: "Compressed size of the images that were published. Layers that ECR had already count too.",
	}, []string{LabelRunner})

	Pulls = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulls_total",
		Help: "Pulls that runners reported, by outcome (Succeeded, Failed).",
	}, []string{LabelRunner, "outcome"})

	PullSeconds = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "imagecache_pull_duration_seconds",
		Help:    "How long pulls took, as their runners reported it, in whole seconds; failed ones count too.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
	})

	PulledBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulled_bytes_total",
		Help: "Compressed size of the images whose pull worked. Layers that the machine had already count too.",
	}, []string{LabelRunner})

	Saved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_saved_seconds_total",
		Help: "Build time that was saved: what the image took to build less its pull. Only what runners reported counts; a failed pull saves nothing.",
	}, []string{LabelRunner})
)

// Credentials.
var (
	Grants = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_grants_total",
		Help: "Credentials that were made, by kind (pull, push). Pull credentials that replace others count too.",
	}, []string{LabelRunner, "kind"})

	Refreshes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_credential_refreshes_total",
		Help: "Pull credentials that were to be replaced, by outcome (Succeeded, Failed). A failure counts once until a refresh works.",
	}, []string{LabelRunner, "outcome"})

	CredentialSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_credential_lifetime_seconds",
		Help:    "How long credentials last from when they are made, by kind (pull, push).",
		Buckets: []float64{300, 600, 900, 1800, 2700, 3600, 7200, 14400, 43200},
	}, []string{"kind"})
)

// What is kept in AWS.
var (
	Drift = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_corrected_total",
		Help: "Differences in AWS that were found and put right, by kind: what was done about them.",
	}, []string{LabelRunner, "kind"})

	Comparisons = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_comparisons_total",
		Help: "Comparisons of all repositories of an account and region with what is wanted of them, by outcome (Succeeded, Failed).",
	}, []string{"region", "outcome"})

	ImagesRemoved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_images_removed_total",
		Help: "Images that the manager removed, by cause (Evicted, Invalidated, Replaced). What ECR's lifecycle rule expires is not among them.",
	}, []string{LabelRunner, "cause"})
)

// Gigabyte is the unit of ECR's storage price, in bytes.
const Gigabyte = 1 << 30
