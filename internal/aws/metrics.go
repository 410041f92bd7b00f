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

// callMetrics counts and times every attempt that reaches AWS, retries included: what AWS bills and throttles by.
type callMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newCallMetrics(registerer prometheus.Registerer) (*callMetrics, error) {
	m := &callMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imagecache_aws_requests_total",
			Help: "Requests to AWS, retries included, by service, operation and the code of the answer (OK, an error code, or NoAnswer).",
		}, []string{"service", "operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "imagecache_aws_request_duration_seconds",
			Help:    "How long AWS took to answer a request, by service and operation.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service", "operation"}),
	}
	if registerer == nil {
		return m, nil
	}
	var err error
	if m.requests, err = registered(registerer, m.requests); err != nil {
		return nil, err
	}
	m.duration, err = registered(registerer, m.duration)
	return m, err
}

// registered registers a collector, or returns the one that an earlier Provider of the program registered.
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

// install puts the measurement around each attempt, and a deadline around the whole call.
func (m *callMetrics) install(stack *middleware.Stack) error {
	deadline := middleware.InitializeMiddlewareFunc("imagecache:Deadline",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			return next.HandleInitialize(ctx, in)
		})
	measure := middleware.DeserializeMiddlewareFunc("imagecache:Metrics",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			start := time.Now()
			out, metadata, err := next.HandleDeserialize(ctx, in)
			service, operation := strings.ToLower(awsmiddleware.GetServiceID(ctx)), awsmiddleware.GetOperationName(ctx)
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

func answerCode(err error) string {
	if err == nil {
		return "OK"
	}
	if code := Code(err); code != "" {
		return code
	}
	return "NoAnswer"
}
