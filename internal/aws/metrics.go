package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// callMetrics counts and times every attempt that reaches AWS, including retries. AWS bills and throttles by these.
type callMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	throttle *prometheus.CounterVec
	postpone *prometheus.CounterVec
}

func newCallMetrics(registerer prometheus.Registerer) (*callMetrics, error) {
	m := &callMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_aws_requests_total",
			Help: "Requests to AWS, including retries, by service, operation and the code of the answer (OK, an error code, or NoAnswer).",
		}, []string{"service", "operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "imagecache_aws_request_duration_seconds",
			Help:    "Time that AWS took to answer a request, by service and operation.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service", "operation"}),
		throttle: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_aws_throttles_total",
			Help: "Requests that AWS throttled, by service and operation. The number of requests includes them.",
		}, []string{"service", "operation"}),
		postpone: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_aws_postponed_calls_total",
			Help: "Calls that were postponed to stay below the rate that AWS accepted before, by service and operation.",
		}, []string{"service", "operation"}),
	}
	if registerer == nil {
		return m, nil
	}
	var err error
	if m.requests, err = registered(registerer, m.requests); err != nil {
		return nil, err
	}
	if m.duration, err = registered(registerer, m.duration); err != nil {
		return nil, err
	}
	if m.throttle, err = registered(registerer, m.throttle); err != nil {
		return nil, err
	}
	m.postpone, err = registered(registerer, m.postpone)
	return m, err
}

// registered registers a collector, or returns the collector that an earlier Provider of the program registered.
func registered[C prometheus.Collector](registerer prometheus.Registerer, collector C) (C, error) {
	err := registerer.Register(collector)
	var earlier prometheus.AlreadyRegisteredError
	if errors.As(err, &earlier) {
		if same, ok := earlier.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return collector, err
}

// install adds the metrics to each attempt, and a deadline to the whole call.
func (m *callMetrics) install(stack *middleware.Stack) error {
	deadline := middleware.InitializeMiddlewareFunc("imagecache:Deadline",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			out, metadata, err := next.HandleInitialize(ctx, in)
			if later := (*LaterError)(nil); errors.As(err, &later) {
				service, operation, _ := strings.Cut(later.Operation, " ")
				m.postpone.WithLabelValues(service, operation).Inc()
			}
			return out, metadata, err
		})
	measure := middleware.DeserializeMiddlewareFunc("imagecache:Metrics",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			start := time.Now()
			out, metadata, err := next.HandleDeserialize(ctx, in)
			service, operation := nameOf(ctx)
			// Both begin at zero with the operation's first request, so that a query can distinguish zero from
			// unknown.
			throttled := m.throttle.WithLabelValues(service, operation)
			m.postpone.WithLabelValues(service, operation)
			if isThrottle(err) {
				throttled.Inc()
			}
			m.requests.WithLabelValues(service, operation, answerCode(err)).Inc()
			m.duration.WithLabelValues(service, operation).Observe(time.Since(start).Seconds())
			return out, metadata, err
		})
	if err := stack.Initialize.Add(deadline, middleware.Before); err != nil {
		return fmt.Errorf("install the deadline: %w", err)
	}
	if err := stack.Deserialize.Add(measure, middleware.Before); err != nil {
		return fmt.Errorf("install the metrics: %w", err)
	}
	return nil
}

// nameOf returns the service and the operation of a call.
func nameOf(ctx context.Context) (service, operation string) {
	return strings.ToLower(awsmiddleware.GetServiceID(ctx)), awsmiddleware.GetOperationName(ctx)
}

func answerCode(err error) string {
	if err == nil {
		return "OK"
	}
	if code := Code(err); code != "" {
		return code
	}
	return "NoAnswer"
}
