package dashboard

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"imagecache.dev/test/browser"
)

var update = flag.Bool("update", false, "renew the picture in docs/images")

// metrics are what a stand-in for Prometheus remembers of a day, by the metric and label that a query names. swing is how
// much weekdays differ.
var metrics = []struct {
	query string
	value float64
	swing float64
}{
	{`result="Hit"`, 412, 0.35}, {`result="Miss"`, 61, 0.25}, {`outcome="Succeeded"`, 405, 0.35},
	{"imagecache_saved_seconds_total", 91_000, 0.4}, {"imagecache_stored_bytes", 184e9, 0.05},
	{"imagecache_estimated_monthly_cost_dollars", 18.4, 0.05},
}

// remembering serves a Prometheus that remembers days.
func remembering(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		var value func(at int64) float64
		for _, metric := range metrics {
			if strings.Contains(query.Get("query"), metric.query) {
				value = func(at int64) float64 {
					return math.Round(metric.value * (1 + metric.swing*math.Sin(float64(at/86400))))
				}
				break
			}
		}
		if value == nil || !strings.Contains(query.Get("query"), `runner_namespace=~"`+namespace+`"`) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"status":"error","error":"no such query: %s"}`, strconv.Quote(query.Get("query")))
			return
		}
		pair := func(at int64) [2]any { return [2]any{at, strconv.FormatFloat(value(at), 'f', -1, 64)} }
		result := map[string]any{}
		if strings.HasSuffix(r.URL.Path, "/query_range") {
			from, _ := strconv.ParseInt(query.Get("start"), 10, 64)
			to, _ := strconv.ParseInt(query.Get("end"), 10, 64)
			var values [][2]any
			for at := from; at <= to; at += 86400 {
				values = append(values, pair(at))
			}
			result["values"] = values
		} else {
			at, _ := strconv.ParseInt(query.Get("time"), 10, 64)
			result["value"] = pair(at)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"result": []any{result}}})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestPrometheusTellsWhatWasSavedLastWeek also takes the picture in README.md.
func TestPrometheusTellsWhatWasSavedLastWeek(t *testing.T) {
	prepare(t, workspace(t, t.Name()), "week-1")
	page := administrator(t, browser.Look{Width: 1000, Height: 640}, "--prometheus", remembering(t))
	open(page, "What does it save?")
	page.Wait(".chart[data-drawn] canvas")
	if got := page.Count(".chart canvas"); got != 5 {
		t.Errorf("%d charts are drawn, not 5", got)
	}
	if figures := page.Text(".figures"); !strings.Contains(figures, "GB") {
		t.Errorf("what is stored is not that of Prometheus: %s", figures)
	}
	saved := page.Text("#saved")
	days := page.Count("details tbody tr")
	if !strings.Contains(saved, "d") || days != 7 {
		t.Errorf("last week saved %s, in %d days", saved, days)
	}
	picture := shots(t, "readme")
	page.Shot(picture, false)
	content, err := os.ReadFile(picture)
	if err != nil || len(content) > 150_000 {
		t.Fatalf("the picture has %d bytes: %v", len(content), err)
	}
	if *update {
		if err := os.MkdirAll(root("docs", "images"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root("docs", "images", "dashboard.png"), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(root("docs", "images", "dashboard.png")); err != nil {
		t.Errorf("README.md shows a picture that is not there: %v; make it with -update", err)
	}
}

// TestAPrometheusThatIsGoneIsSaid: the figures of the requests stand in for it.
func TestAPrometheusThatIsGoneIsSaid(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	page := administrator(t, browser.Look{}, "--prometheus", gone.URL)
	began := time.Now()
	open(page, "What does it save?")
	page.Wait(`.problem:has-text("Prometheus can't be used")`)
	page.Wait(`.source:has-text("Counted from the requests")`)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the page took %s", took)
	}
}
