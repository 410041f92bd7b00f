package textfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// errOtherBuckets: a program of another version wrote the file.
var errOtherBuckets = errors.New("the buckets are others")

func sortedNames(families map[string]*dto.MetricFamily) []string {
	return slices.Sorted(maps.Keys(families))
}

// merge adds a family to the known ones.
func merge(known map[string]*dto.MetricFamily, fresh *dto.MetricFamily) error {
	family := known[fresh.GetName()]
	if family == nil {
		known[fresh.GetName()] = fresh
		return nil
	}
	if family.GetType() != fresh.GetType() {
		return fmt.Errorf("%s is a %s there and a %s here", fresh.GetName(), family.GetType(), fresh.GetType())
	}
	family.Help = fresh.Help
	series := map[string]*dto.Metric{}
	for _, metric := range family.GetMetric() {
		series[labelsOf(metric)] = metric
	}
	for _, metric := range fresh.GetMetric() {
		before := series[labelsOf(metric)]
		if before == nil {
			family.Metric = append(family.Metric, metric)
			continue
		}
		if err := add(before, metric); err != nil {
			return fmt.Errorf("%s: %w", fresh.GetName(), err)
		}
	}
	return nil
}

func labelsOf(metric *dto.Metric) string {
	var pairs []string
	for _, label := range metric.GetLabel() {
		pairs = append(pairs, label.GetName()+"\x00"+label.GetValue())
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "\x01")
}

// add adds one series to another of the same labels.
func add(to, fresh *dto.Metric) error {
	switch {
	case fresh.Counter != nil:
		sum := to.GetCounter().GetValue() + fresh.GetCounter().GetValue()
		to.Counter = &dto.Counter{Value: &sum}
	case fresh.Histogram != nil:
		return addHistogram(to.GetHistogram(), fresh.GetHistogram())
	default:
		to.Gauge = fresh.Gauge
	}
	return nil
}

// addHistogram adds a histogram of the same buckets. The bucket +Inf, which the text has and a fresh one doesn't, is
// left to the count.
func addHistogram(to, fresh *dto.Histogram) error {
	buckets := slices.DeleteFunc(to.GetBucket(), func(b *dto.Bucket) bool { return math.IsInf(b.GetUpperBound(), 1) })
	if len(buckets) != len(fresh.GetBucket()) {
		return errOtherBuckets
	}
	for n, bucket := range buckets {
		more := fresh.GetBucket()[n]
		if bucket.GetUpperBound() != more.GetUpperBound() {
			return errOtherBuckets
		}
		total := bucket.GetCumulativeCount() + more.GetCumulativeCount()
		bucket.CumulativeCount = &total
	}
	count, sum := to.GetSampleCount()+fresh.GetSampleCount(), to.GetSampleSum()+fresh.GetSampleSum()
	to.Bucket, to.SampleCount, to.SampleSum = buckets, &count, &sum
	return nil
}
