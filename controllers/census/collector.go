package census

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"imagecache.dev/controllers/metric"
)

// Gauges of the existing objects. The manager adds them up at each scrape.
var (
	runnersDesc = prometheus.NewDesc("imagecache_runners",
		"Runners, by the status and the reason of their condition Ready.", []string{metric.LabelRunner, "ready", "reason"}, nil)
	projectsDesc = prometheus.NewDesc("imagecache_projects",
		"Projects, by the status and the reason of their condition Ready.", []string{metric.LabelRunner, "ready", "reason"}, nil)
	pullCredentialsDesc = prometheus.NewDesc("imagecache_pull_credentials",
		"Projects whose environments asked for pull credentials, by the reason of their condition PullCredentialsReady.", []string{metric.LabelRunner, "reason"}, nil)
	credentialsExpiryDesc = prometheus.NewDesc("imagecache_pull_credentials_earliest_expiry_timestamp_seconds",
		"Time when the first of a runner's pull credentials expire. The manager replaces them earlier, while environments ask for them.", []string{metric.LabelRunner}, nil)
	storedImagesDesc = prometheus.NewDesc("imagecache_stored_images",
		"Images in the repositories at the last count.", []string{metric.LabelRunner}, nil)
	storedBytesDesc = prometheus.NewDesc("imagecache_stored_bytes",
		"Compressed size of the images in the repositories at the last count. A layer that several images share counts once for each, so this is an upper bound.", []string{metric.LabelRunner}, nil)
	costDesc = prometheus.NewDesc("imagecache_estimated_monthly_cost_dollars",
		"Monthly cost of the stored bytes at the price of --price-per-gb-month; an upper bound.", []string{metric.LabelRunner}, nil)
	dueImagesDesc = prometheus.NewDesc("imagecache_due_images",
		"Images that were due at the last count: pulled within the last 14 days, and expiring within 7 days, or the last quarter of a shorter retentionDays. imagecache prebuild --due replaces them.", []string{metric.LabelRunner}, nil)
	dueExpiryDesc = prometheus.NewDesc("imagecache_due_images_earliest_expiry_timestamp_seconds",
		"Time when the first of a runner's due images expires, in projects with a retentionDays of 28 or more. No series if none is due.", []string{metric.LabelRunner}, nil)
	openRequestsDesc = prometheus.NewDesc("imagecache_open_requests",
		"Requests that are not finished, by state (Unanswered, AwaitingCredentials, Builder, Waiter, LocalBuild).", []string{metric.LabelRunner, "state"}, nil)
	oldestUnansweredDesc = prometheus.NewDesc("imagecache_oldest_unanswered_request_age_seconds",
		"How long the oldest unanswered request has been waiting; 0 if no request waits.", []string{metric.LabelRunner}, nil)
)

// censusCollector serves the census of the manager that was set up last, while that manager leads. The figures of two
// replicas would add up to twice the truth.
type censusCollector struct{ source atomic.Pointer[censusSource] }

type censusSource struct {
	census          *Census
	elected         <-chan struct{}
	pricePerGBMonth float64
}

// Serve makes the metrics report this census once elected is closed: the manager leads. The price is in US dollars.
func (c *Census) Serve(elected <-chan struct{}, pricePerGBMonth float64) {
	censusMetrics.source.Store(&censusSource{census: c, elected: elected, pricePerGBMonth: pricePerGBMonth})
}

// censusMetrics is registered once, as all metrics of this package are.
var censusMetrics = registeredCensus()

func registeredCensus() *censusCollector {
	collector := &censusCollector{}
	metrics.Registry.MustRegister(collector)
	return collector
}

// Describe sends the descriptions of the gauges.
func (*censusCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		runnersDesc, projectsDesc, pullCredentialsDesc, credentialsExpiryDesc, storedImagesDesc, storedBytesDesc, costDesc,
		dueImagesDesc, dueExpiryDesc, openRequestsDesc, oldestUnansweredDesc,
	} {
		descs <- desc
	}
}

// Collect sends the gauges of the census.
func (c *censusCollector) Collect(out chan<- prometheus.Metric) {
	source := c.source.Load()
	if source == nil {
		return
	}
	select {
	case <-source.elected:
	default:
		return
	}
	for _, figure := range source.census.figures(source.pricePerGBMonth) {
		out <- prometheus.MustNewConstMetric(figure.desc, prometheus.GaugeValue, figure.value, figure.labels...)
	}
}

// figure is one sample of a gauge.
type figure struct {
	desc   *prometheus.Desc
	value  float64
	labels []string
}

// figures adds the census up. A namespace with a runner or a project reports every gauge that can be zero, so that
// zero differs from unknown.
func (c *Census) figures(pricePerGBMonth float64) []figure {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums, now := sums{}, c.clock.Now()
	for _, runner := range c.runners {
		sums.at(runner.namespace)
		sums.add(runnersDesc, 1, runner.namespace, runner.ready, runner.reason)
	}
	for _, project := range c.projects {
		sums.at(project.namespace)
		sums.add(projectsDesc, 1, project.namespace, project.ready, project.reason)
		sums.add(storedImagesDesc, float64(project.images), project.namespace)
		sums.add(storedBytesDesc, float64(project.bytes), project.namespace)
		sums.add(costDesc, float64(project.bytes)/metric.Gigabyte*pricePerGBMonth, project.namespace)
		if project.dueExpires.After(now) { // figures that nobody counted since are of images that are gone
			sums.add(dueImagesDesc, float64(project.due), project.namespace)
			if project.dueForWeek {
				sums.least(dueExpiryDesc, float64(project.dueExpires.Unix()), project.namespace)
			}
		}
		if project.credentials != "" {
			sums.add(pullCredentialsDesc, 1, project.namespace, project.credentials)
		}
		if !project.expires.IsZero() {
			sums.least(credentialsExpiryDesc, float64(project.expires.Unix()), project.namespace)
		}
	}
	for _, request := range c.open {
		sums.add(openRequestsDesc, 1, request.namespace, request.state)
		if request.state == requestUnanswered {
			sums.most(oldestUnansweredDesc, max(0, now.Sub(request.created).Seconds()), request.namespace)
		}
	}
	figures := make([]figure, 0, len(sums))
	for _, sum := range sums {
		figures = append(figures, *sum)
	}
	return figures
}

// sums are samples by gauge and labels.
type sums map[sumKey]*figure

type sumKey struct {
	desc   *prometheus.Desc
	labels string
}

// at creates the gauges of a namespace that can be zero.
func (s sums) at(namespace string) {
	for _, desc := range []*prometheus.Desc{storedImagesDesc, storedBytesDesc, costDesc, dueImagesDesc, oldestUnansweredDesc} {
		s.add(desc, 0, namespace)
	}
	s.add(openRequestsDesc, 0, namespace, requestUnanswered)
}

func (s sums) of(desc *prometheus.Desc, labels []string) (sum *figure, known bool) {
	key := sumKey{desc, strings.Join(labels, "\x00")}
	if sum, known = s[key]; !known {
		sum = &figure{desc: desc, labels: labels}
		s[key] = sum
	}
	return sum, known
}

func (s sums) add(desc *prometheus.Desc, value float64, labels ...string) {
	sum, _ := s.of(desc, labels)
	sum.value += value
}

func (s sums) least(desc *prometheus.Desc, value float64, labels ...string) {
	if sum, known := s.of(desc, labels); !known || value < sum.value {
		sum.value = value
	}
}

func (s sums) most(desc *prometheus.Desc, value float64, labels ...string) {
	if sum, known := s.of(desc, labels); !known || value > sum.value {
		sum.value = value
	}
}
