package textfile

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// run is what one process counts.
func run(seconds float64, outcomes ...string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	factory := promauto.With(registry)
	runs := factory.NewCounterVec(prometheus.CounterOpts{Name: "runs_total", Help: "Runs."}, []string{"outcome"})
	took := factory.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Help: "Times.", Buckets: []float64{1, 10}})
	last := factory.NewGauge(prometheus.GaugeOpts{Name: "last", Help: "The last."})
	for _, outcome := range outcomes {
		runs.WithLabelValues(outcome).Inc()
		took.Observe(seconds)
		last.Set(seconds)
	}
	return registry
}

func contents(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestRunsAddUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imagecache.prom")
	for _, registry := range []*prometheus.Registry{run(0.5, "Hit"), run(5, "Hit", "Miss"), run(20, "Miss")} {
		if err := Add(path, registry); err != nil {
			t.Fatal(err)
		}
	}
	want := `# HELP last The last.
# TYPE last gauge
last 20
# HELP runs_total Runs.
# TYPE runs_total counter
runs_total{outcome="Hit"} 2
runs_total{outcome="Miss"} 2
# HELP took_seconds Times.
# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 1
took_seconds_bucket{le="10"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 30.5
took_seconds_count 4
`
	if diff := cmp.Diff(want, contents(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("the file has the mode %v, and node_exporter is another user", info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestRunsAtTheSameTimeLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imagecache.prom")
	const runs = 40
	var group sync.WaitGroup
	for range runs {
		group.Go(func() {
			if err := Add(path, run(1, "Hit")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if text := contents(t, path); !strings.Contains(text, `runs_total{outcome="Hit"} 40`) || !strings.Contains(text, "took_seconds_count 40") {
		t.Errorf("of %d runs there are\n%s", runs, text)
	}
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	for name, content := range map[string]string{
		"no metrics":    "a letter\nto somebody\n",
		"another type":  "# TYPE runs_total gauge\nruns_total{outcome=\"Hit\"} 1\n",
		"other buckets": "# TYPE took_seconds histogram\ntook_seconds_bucket{le=\"2\"} 1\ntook_seconds_bucket{le=\"+Inf\"} 1\ntook_seconds_sum 1\ntook_seconds_count 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "imagecache.prom")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Add(path, run(1, "Hit"))
			if err == nil || !strings.Contains(err.Error(), "remove it") {
				t.Errorf("the error is %v", err)
			}
			if diff := cmp.Diff(content, contents(t, path)); diff != "" {
				t.Errorf("the file changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyFilesThatAreReadAreTaken(t *testing.T) {
	if err := Check("/var/lib/node_exporter/imagecache.prom"); err != nil {
		t.Error(err)
	}
	if err := Check("/var/lib/node_exporter/imagecache.txt"); err == nil {
		t.Error("node_exporter does not read .txt")
	}
	if err := Add(filepath.Join(t.TempDir(), "absent", "x.prom"), run(1, "Hit")); err == nil {
		t.Error("a folder that is not there is no error")
	}
}
