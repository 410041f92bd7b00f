package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var publication sync.Once

// published makes sure, once for all tests, that an image was built, published and pulled.
func published(t *testing.T) {
	t.Helper()
	publication.Do(func() {
		folder := workspace(t, t.Name())
		if printed := prepare(t, folder, "e-1", "--metrics-file", runnerFile); !strings.Contains(printed, "built and published") {
			t.Fatalf("the first environment did not publish:\n%s", printed)
		}
		if printed := prepare(t, folder, "e-2", "--metrics-file", runnerFile); !strings.Contains(printed, "hit, pulled from the cache") {
			t.Fatalf("the second environment did not hit:\n%s", printed)
		}
		// An image that was pulled and expires within 7 days is due. An edited spec makes the manager count.
		repository, err := cluster.Kubectl(t.Context(), "-n", namespace, "get", "projectimagecache", "shop", "-o", "jsonpath={.status.repository.name}")
		if err == nil {
			err = cluster.AgeImages(t.Context(), repository, 22*24*time.Hour)
		}
		if err == nil {
			_, err = cluster.Kubectl(t.Context(), "-n", namespace, "patch", "projectimagecache", "shop", "--type=merge", "-p", `{"spec":{"retentionDays":29}}`)
		}
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			_, families, err := exposition(t.Context())
			if due := sum(families["imagecache_due_images"], "runner_namespace", namespace); err == nil && due != 1 {
				err = fmt.Errorf("%g images are due, not one", due)
			}
			return err
		})
	})
}

func TestRunnersAddTheirOwnToAFile(t *testing.T) {
	published(t)
	content, err := os.ReadFile(runnerFile)
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, "", string(content), "check", "metrics")
	for _, line := range []string{`imagecache_prepare_runs_total{outcome="Published"} 1`, `imagecache_prepare_runs_total{outcome="Hit"} 1`} {
		if !strings.Contains(string(content), line+"\n") {
			t.Errorf("the file lacks %s:\n%s", line, content)
		}
	}
	page, err := os.ReadFile(root("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(string(content), -1) {
		if !strings.Contains(string(page), "| `"+kind[1]+"` | "+kind[2]+" |") {
			t.Errorf("docs/metrics.md lacks the %s %s", kind[2], kind[1])
		}
	}
}

// scrape reads the manager's metrics as whoever holds a token.
func scrape(ctx context.Context, token string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cluster.Metrics, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // as the ServiceMonitor does
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// exposition is what the manager exposes to whom may read it.
func exposition(ctx context.Context) (text string, families map[string]*dto.MetricFamily, err error) {
	file, err := cluster.MetricsReader(ctx)
	if err != nil {
		return "", nil, err
	}
	token, err := os.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	status, text, err := scrape(ctx, string(token))
	if err != nil {
		return "", nil, err
	}
	if status != http.StatusOK {
		return "", nil, fmt.Errorf("the metrics answer %d to whom may read them", status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err = parser.TextToMetricFamilies(strings.NewReader(text))
	return text, families, err
}

func TestMetricsAreForThoseWhomKubernetesAuthorises(t *testing.T) {
	if status, _, err := scrape(t.Context(), ""); err != nil || status != http.StatusUnauthorized {
		t.Errorf("without a token the metrics answer %d, %v", status, err)
	}
	token, err := cluster.ServiceAccountToken(t.Context(), namespace, "runner")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := scrape(t.Context(), token); err != nil || status != http.StatusForbidden {
		t.Errorf("to a runner the metrics answer %d, %v", status, err)
	}
}

func TestExpositionIsClean(t *testing.T) {
	published(t)
	text, _, err := exposition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, "", text, "check", "metrics")
}

func TestReferenceHasEachMetricAndNoOther(t *testing.T) {
	published(t)
	_, families, err := exposition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(root("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	managers, _, _ := strings.Cut(string(page), "\n## imagecache prepare\n")
	entries := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(imagecache_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(managers, -1) {
		entries[row[1]] = row[2]
	}
	for name, kind := range entries {
		family, ok := families[name]
		if !ok {
			t.Errorf("docs/metrics.md has %s, which the manager does not expose", name)
			continue
		}
		if got := strings.ToLower(family.GetType().String()); got != kind {
			t.Errorf("docs/metrics.md says that %s is a %s, and it is a %s", name, kind, got)
		}
	}
	for name := range families {
		if _, ok := entries[name]; strings.HasPrefix(name, "imagecache_") && !ok {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
}

func TestMissPublishAndHitAreCountedOnce(t *testing.T) {
	published(t)
	one := func(name, labels string) {
		t.Helper()
		wants(t, fmt.Sprintf("sum(%s{job=%q, runner_namespace=%q%s})", name, "imagecache", namespace, labels), 1)
	}
	one("imagecache_lookups_total", `, result="Miss", reason="ImageNotFound"`)
	one("imagecache_lookups_total", `, result="Hit", reason="ImageFound"`)
	one("imagecache_builds_total", `, reason="Published"`)
	one("imagecache_pulls_total", `, outcome="Succeeded"`)
	one("imagecache_grants_total", `, kind="push"`)
	one("imagecache_grants_total", `, kind="pull"`)
	one("imagecache_stored_images", "")
	one("imagecache_due_images", "")
	one("imagecache_projects", `, ready="True"`)
	one("imagecache_runners", `, ready="True"`)
	one("imagecache_pull_credentials", `, reason="Succeeded"`)
	for _, expression := range []string{
		"sum(imagecache_answer_duration_seconds_count) == bool 2",
		"sum(imagecache_build_duration_seconds_count) == bool 1",
		"sum(imagecache_pull_duration_seconds_count) == bool 1",
		"sum(imagecache_published_bytes_total) > bool 100000",
		"sum(imagecache_published_bytes_total) == bool sum(imagecache_pulled_bytes_total)",
		"sum(imagecache_published_bytes_total) == bool sum(imagecache_stored_bytes)",
		"sum(imagecache_estimated_monthly_cost_dollars) > bool 0",
		"sum(imagecache_unknown_lookups_total) == bool 0",
		`sum(imagecache_aws_requests_total{operation="PutImage", code="OK"}) == bool 1`,
		"max(imagecache_pull_credentials_earliest_expiry_timestamp_seconds) - time() > bool 3000",
		"max(imagecache_due_images_earliest_expiry_timestamp_seconds) - time() > bool 6 * 86400",
	} {
		wants(t, expression, 1)
	}
}

// The restart comes last: Prometheus scrapes the first manager's address.
func TestRestartCountsNothingAgain(t *testing.T) {
	published(t)
	cluster.StopManager()
	if err := cluster.StartManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	var families map[string]*dto.MetricFamily
	eventually(t, func() (err error) {
		if _, families, err = exposition(t.Context()); err != nil {
			return err
		}
		if passes := sum(families["controller_runtime_reconcile_total"], "controller", "projectimagecache"); passes < 1 {
			return fmt.Errorf("the manager has looked at %g projects", passes)
		}
		if projects := sum(families["imagecache_projects"], "ready", "True"); projects != 1 {
			return fmt.Errorf("the manager knows %g projects", projects)
		}
		return nil
	})
	for _, name := range []string{
		"imagecache_lookups_total", "imagecache_builds_total", "imagecache_pulls_total", "imagecache_saved_seconds_total",
		"imagecache_published_bytes_total", "imagecache_grants_total", "imagecache_drift_corrected_total",
	} {
		if counted := sum(families[name], "runner_namespace", namespace); counted != 0 {
			t.Errorf("a restarted manager counts %g in %s again", counted, name)
		}
	}
}

// sum adds up a family's series that have a label.
func sum(family *dto.MetricFamily, label, value string) float64 {
	total := 0.0
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == label && pair.GetValue() == value {
				total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return total
}
