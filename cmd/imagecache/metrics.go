package main

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/textfile"
)

// Outcomes of runs that ended without an image. The other outcomes are the runner's.
const (
	outcomeFailed      = "Failed"
	outcomeInterrupted = "Interrupted"
)

// runMetrics are the metrics of one run of prepare. It receives the run's events and passes them on.
type runMetrics struct {
	runner.Events
	registry *prometheus.Registry
	began    time.Time

	runs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	steps    *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	saved    prometheus.Counter
	ended    prometheus.Gauge
	// publications are counted by the processes in the background.
	publications *prometheus.CounterVec

	mu sync.Mutex
	// transferred is the last reported progress of each step's transfer, for each service of Docker Compose.
	transferred map[transfer]int64
}

// transfer is one step of one service.
type transfer struct{ service, step string }

func newRunMetrics(events runner.Events) *runMetrics {
	registry := prometheus.NewRegistry()
	factory := promauto.With(registry)
	return &runMetrics{
		Events: events, registry: registry, began: time.Now(), transferred: map[transfer]int64{},
		runs: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_prepare_runs_total",
			Help: "Runs of imagecache prepare on this machine, by outcome (Hit, Published, Publishing, Built, Bypassed, Failed, Interrupted).",
		}, []string{"outcome"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "imagecache_prepare_duration_seconds",
			Help:    "How long environments waited for their image, by outcome.",
			Buckets: []float64{.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600},
		}, []string{"outcome"}),
		steps: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "imagecache_prepare_step_duration_seconds",
			Help:    "Duration of each step (Read, Lookup, Wait, Pull, Build, Save, Publish, Upload), by outcome (Succeeded, Failed).",
			Buckets: []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800},
		}, []string{"step", "outcome"}),
		bytes: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_prepare_transferred_bytes_total",
			Help: "Bytes that steps transferred (Pull, Upload), as far as the engine reports them, without data that existed already.",
		}, []string{"step"}),
		saved: factory.NewCounter(prometheus.CounterOpts{
			Name: "imagecache_prepare_saved_seconds_total",
			Help: "Build time that hits saved: the duration of the image's build less the duration of its pull.",
		}),
		publications: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_prepare_background_publications_total",
			Help: "Publications in the background that ended on this machine, by outcome (Published, Failed, Interrupted). One that was killed is not counted.",
		}, []string{"outcome"}),
		ended: factory.NewGauge(prometheus.GaugeOpts{
			Name: "imagecache_prepare_last_run_timestamp_seconds",
			Help: "Time when the last run ended.",
		}),
	}
}

// Emit records the times and bytes of an event.
func (m *runMetrics) Emit(event runner.Event) {
	switch event.Kind {
	case runner.EventFinished:
		m.steps.WithLabelValues(event.Step, "Succeeded").Observe(event.Seconds)
	case runner.EventFailed:
		m.steps.WithLabelValues(event.Step, "Failed").Observe(event.Seconds)
	case runner.EventProgress:
		if event.Step == "Save" {
			break // within this machine
		}
		m.mu.Lock()
		of := transfer{event.Service, event.Step}
		m.transferred[of] = max(m.transferred[of], event.DoneBytes)
		m.mu.Unlock()
	}
	m.Events.Emit(event)
}

// write counts the outcome of the run, and adds all metrics to a file.
func (m *runMetrics) write(path string, result *runner.Result, err error) error {
	outcome := outcomeFailed
	switch {
	case err == nil:
		outcome = string(result.Outcome)
		m.saved.Add(max(0, float64(result.SavedSeconds)))
	case errors.Is(err, runner.ErrInterrupted):
		outcome = outcomeInterrupted
	}
	m.runs.WithLabelValues(outcome).Inc()
	m.duration.WithLabelValues(outcome).Observe(time.Since(m.began).Seconds())
	m.ended.SetToCurrentTime()
	return m.add(path)
}

// writePublication counts a publication in the background that ended with err, and adds all metrics to a file.
func (m *runMetrics) writePublication(path string, err error) error {
	outcome := string(runner.OutcomePublished)
	switch {
	case errors.Is(err, runner.ErrInterrupted):
		outcome = outcomeInterrupted
	case err != nil:
		outcome = outcomeFailed
	}
	m.publications.WithLabelValues(outcome).Inc()
	m.registry.Unregister(m.ended) // no run ended now
	return m.add(path)
}

// add adds all metrics to a file.
func (m *runMetrics) add(path string) error {
	m.mu.Lock()
	for of, bytes := range m.transferred {
		m.bytes.WithLabelValues(of.step).Add(float64(bytes))
	}
	m.mu.Unlock()
	return textfile.Add(path, m.registry)
}
