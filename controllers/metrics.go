package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// factory registers with the registry that the manager serves. Every metric has its entry in docs/metrics.md.
var factory = promauto.With(metrics.Registry)

// labelRunner is the namespace of the runner that a figure is about. It is not called namespace, which Prometheus sets
// to that of the pod that it scrapes. No metric has a label for the
// project: docs/adr/0011-metrics-by-runner.md.
const labelRunner = "runner_namespace"

// Values of labels that are not words of the API.
const (
	// How a look into ECR ended. lookupFailed is neither of the others: the answer is not known.
	lookupFound, lookupAbsent, lookupFailed = "Found", "Absent", "Failed"
	// Why an image was removed.
	removedEvicted, removedInvalidated, removedReplaced = "Evicted", "Invalidated", "Replaced"
	// Whether an attempt worked.
	outcomeSucceeded, outcomeFailed = "Succeeded", "Failed"
	// driftRole is the kind of a drift that an IAM role had; the others are the actions of events about repositories.
	driftRole = "EnsureRole"
)

// Answers.
var (
	lookups = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_lookups_total",
		Help: "Answers to environments, by result (Hit, Miss, Bypassed) and reason.",
	}, []string{labelRunner, "result", "reason"})

	unknownLookups = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_unknown_lookups_total",
		Help: "Requests whose lookup began to fail, by reason: neither hit nor miss. A request counts once, however often it is tried again.",
	}, []string{labelRunner, "reason"})

	answerSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_answer_duration_seconds",
		Help:    "Time from a request's arrival at the manager to its written answer, by result. Requests that were there before the manager started don't count.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
	}, []string{"result"})

	lookupSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_lookup_duration_seconds",
		Help:    "Time of a look into ECR for one hash, with all AWS calls that it took or shared with others, by what came of it (Found, Absent, Failed).",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
	}, []string{"outcome"})
)

// Builds and pulls.
var (
	builds = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_builds_total",
		Help: "Builds that ended, by what became of their image for the cache: the reason of the condition Published.",
	}, []string{labelRunner, "reason"})

	buildSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_build_duration_seconds",
		Help:    "How long builds took, as their runners reported it, by outcome (Succeeded, Failed).",
		Buckets: []float64{1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600},
	}, []string{"outcome"})

	coalesced = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_coalesced_builds_total",
		Help: "Builds that did not have to be: environments that waited for another's build of the same hash and got its image.",
	}, []string{labelRunner})

	takeovers = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_build_takeovers_total",
		Help: "Times that a waiting environment became the builder, because the one before it ended without an image.",
	}, []string{labelRunner})

	publishedBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_published_bytes_total",
		Help: "Compressed size of the images that were published. Layers that ECR had already count too.",
	}, []string{labelRunner})

	pulls = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulls_total",
		Help: "Pulls that runners reported, by outcome (Succeeded, Failed).",
	}, []string{labelRunner, "outcome"})

	pullSeconds = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "imagecache_pull_duration_seconds",
		Help:    "How long pulls took, as their runners reported it, in whole seconds; failed ones count too.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
	})

	pulledBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_pulled_bytes_total",
		Help: "Compressed size of the images whose pull worked. Layers that the machine had already count too.",
	}, []string{labelRunner})

	saved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_saved_seconds_total",
		Help: "Build time that was saved: what the image took to build less its pull. Only what runners reported counts; a failed pull saves nothing.",
	}, []string{labelRunner})
)

// Credentials.
var (
	grants = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_grants_total",
		Help: "Credentials that were made, by kind (pull, push). Pull credentials that replace others count too.",
	}, []string{labelRunner, "kind"})

	refreshes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_credential_refreshes_total",
		Help: "Pull credentials that were to be replaced, by outcome (Succeeded, Failed). A failure counts once until a refresh works.",
	}, []string{labelRunner, "outcome"})

	credentialSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_credential_lifetime_seconds",
		Help:    "How long credentials last from when they are made, by kind (pull, push).",
		Buckets: []float64{300, 600, 900, 1800, 2700, 3600, 7200, 14400, 43200},
	}, []string{"kind"})
)

// What is kept in AWS.
var (
	drift = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_corrected_total",
		Help: "Differences in AWS that were found and put right, by kind: what was done about them.",
	}, []string{labelRunner, "kind"})

	comparisons = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_drift_comparisons_total",
		Help: "Comparisons of all repositories of an account and region with what is wanted of them, by outcome (Succeeded, Failed).",
	}, []string{"region", "outcome"})

	imagesRemoved = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_images_removed_total",
		Help: "Images that the manager removed, by cause (Evicted, Invalidated, Replaced). What ECR's lifecycle rule expires is not among them.",
	}, []string{labelRunner, "cause"})
)
