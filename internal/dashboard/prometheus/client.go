// Package prometheus reads the manager's metrics by day from a Prometheus, which remembers for longer than the cluster
// keeps requests.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imagecache.dev/internal/dashboard/savings"
)

// Bounds of a query.
const (
	timeout   = 10 * time.Second
	maxAnswer = 4 << 20
)

// Client queries one Prometheus.
type Client struct {
	address *url.URL
	http    *http.Client
}

// New returns a client for the address of a Prometheus, such as http://prometheus.example:9090. A user and a password
// in it are sent.
func New(address string) (*Client, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, errors.New("--prometheus must be an address such as http://prometheus.example:9090")
	}
	return &Client{address: parsed, http: &http.Client{Timeout: timeout}}, nil
}

// Days returns the last days, the oldest first. namespaces selects runners; nil means all.
func (c *Client) Days(ctx context.Context, days int, namespaces []string, now time.Time) ([]savings.Day, error) {
	sums := savings.Empty(days, now)
	series := []struct {
		query string
		set   func(day *savings.Day, value float64)
	}{
		{`sum(increase(imagecache_lookups_total{%sresult="Hit"}[1d]))`,
			func(d *savings.Day, v float64) { d.Hits = math.Round(v) }},
		{`sum(increase(imagecache_lookups_total{%sresult="Miss"}[1d]))`,
			func(d *savings.Day, v float64) { d.Misses = math.Round(v) }},
		{`sum(increase(imagecache_pulls_total{%soutcome="Succeeded"}[1d]))`,
			func(d *savings.Day, v float64) { d.Avoided = math.Round(v) }},
		{`sum(increase(imagecache_saved_seconds_total{%s}[1d]))`,
			func(d *savings.Day, v float64) { d.SavedSeconds = math.Round(v) }},
		{`sum(imagecache_stored_bytes{%s})`, func(d *savings.Day, v float64) { d.StoredBytes = &v }},
		{`sum(imagecache_estimated_monthly_cost_dollars{%s})`, func(d *savings.Day, v float64) { d.CostUSD = &v }},
	}
	// Each goroutine writes a field of its own.
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range series {
		group.Go(func() error {
			values, err := c.byDay(ctx, fmt.Sprintf(one.query, selector(namespaces)), sums, now)
			if err != nil {
				return err
			}
			for i, value := range values {
				if !math.IsNaN(value) {
					one.set(&sums[i], value)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read from Prometheus: %w", err)
	}
	return sums, nil
}

// selector selects runners by their namespaces. Those are names of Kubernetes, which have nothing to escape but dots.
func selector(namespaces []string) string {
	if namespaces == nil {
		return ""
	}
	return `runner_namespace=~"` + strings.ReplaceAll(strings.Join(namespaces, "|"), ".", `\\.`) + `",`
}

// byDay returns the value of a query at the end of each day, or now for today; NaN where there is none.
func (c *Client) byDay(ctx context.Context, query string, days []savings.Day, now time.Time) ([]float64, error) {
	values := make([]float64, len(days))
	for i := range values {
		values[i] = math.NaN()
	}
	end := days[len(days)-1].Start
	if len(days) > 1 {
		points, err := c.points(ctx, "query_range", url.Values{
			"query": {query}, "step": {"1d"}, "start": {unix(days[1].Start)}, "end": {unix(end)},
		})
		if err != nil {
			return nil, err
		}
		for at, value := range points {
			if i := int(at.Sub(days[0].Start)/(24*time.Hour)) - 1; i >= 0 && i < len(values) {
				values[i] = value
			}
		}
	}
	// Today began at midnight: its increase is over the time since.
	since := max(time.Minute, now.Sub(end)).Truncate(time.Second)
	query = strings.ReplaceAll(query, "[1d]", fmt.Sprintf("[%ds]", int(since.Seconds())))
	points, err := c.points(ctx, "query", url.Values{"query": {query}, "time": {unix(now)}})
	if err != nil {
		return nil, err
	}
	for _, value := range points {
		values[len(values)-1] = value
	}
	return values, nil
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// answer is that of Prometheus' API: https://prometheus.io/docs/prometheus/latest/querying/api/
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		Result []struct {
			Value  [2]any   `json:"value"`
			Values [][2]any `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// points returns the values of the one series that a query selects.
func (c *Client) points(ctx context.Context, call string, form url.Values) (map[time.Time]float64, error) {
	address := c.address.JoinPath("api", "v1", call)
	address.RawQuery = form.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, errors.New("it does not answer: " + rootCause(err))
	}
	defer func() { _ = response.Body.Close() }()
	var found answer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&found); err != nil {
		return nil, fmt.Errorf("it answers %s, which is not that of a Prometheus", response.Status)
	}
	if found.Status != "success" {
		return nil, errors.New("it refuses the query: " + found.Error)
	}
	points := map[time.Time]float64{}
	for _, series := range found.Data.Result {
		for _, pair := range append(series.Values, series.Value) {
			at, isTime := pair[0].(float64)
			text, isText := pair[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if isTime && isText && err == nil {
				points[time.Unix(int64(at), 0)] = value
			}
		}
	}
	return points, nil
}

// rootCause returns what went wrong without the address, which may hold a password.
func rootCause(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}
