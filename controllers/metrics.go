package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// factory registers with the registry that the manager serves.
var factory = promauto.With(metrics.Registry)

var (
	lookups = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_lookups_total",
		Help: "Answers to environments, by result (Hit, Miss, Bypassed) and reason.",
	}, []string{"result", "reason"})

	answerSeconds = factory.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imagecache_answer_seconds",
		Help:    "Time from the creation of a request to its answer. Creation times have whole seconds, so this is up to one second too long.",
		Buckets: []float64{0.5, 1, 1.5, 2, 3, 5, 10, 30, 60},
	}, []string{"result"})

	builds = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "imagecache_builds_total",
		Help: "Builds that ended, by what became of their image for the cache.",
	}, []string{"reason"})

	pushGrants = factory.NewCounter(prometheus.CounterOpts{
		Name: "imagecache_push_grants_total",
		Help: "Times that upload rights were made.",
	})

	saved = factory.NewCounter(prometheus.CounterOpts{
		Name: "imagecache_saved_seconds_total",
		Help: "Build time that hits saved, less the time of pulls that had been reported by then.",
	})
)
