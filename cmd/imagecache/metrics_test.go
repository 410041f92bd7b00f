package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/console"
	"imagecache.dev/internal/runner"
)

// measuredRun runs a preparation with a file of metrics, and returns what the file and the log hold then.
func measuredRun(t *testing.T, file string, events []runner.Event, result *runner.Result, err error) (metrics, log string) {
	t.Helper()
	var out bytes.Buffer
	p := prepareInto(&out, outputText)
	p.metricsFile = file
	prepared := &runner.Runner{Events: console.NewLog(&out, console.Style{})}
	got, gotErr := p.measured(prepared, func() (*runner.Result, error) {
		for _, event := range events {
			prepared.Events.Emit(event)
		}
		return result, err
	})
	if got != result || !errors.Is(gotErr, err) {
		t.Fatalf("measuring changed the result to %v, %v", got, gotErr)
	}
	content, readErr := os.ReadFile(file)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		t.Fatal(readErr)
	}
	return string(content), out.String()
}

func TestRunsAreCountedWithTheirStepsAndBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "imagecache.prom")
	measuredRun(t, file, []runner.Event{
		{Kind: runner.EventStarted, Step: "Pull", Text: "Pulling"},
		{Kind: runner.EventProgress, Step: "Pull", DoneBytes: 400},
		{Kind: runner.EventProgress, Step: "Pull", DoneBytes: 1000},
		{Kind: runner.EventFinished, Step: "Pull", Text: "Pulled", Seconds: 1.5},
	}, someResult, nil)
	metrics, _ := measuredRun(t, file, []runner.Event{{Kind: runner.EventFailed, Step: "Build", Text: "no", Seconds: 3}}, nil, errors.New("no"))
	for _, line := range []string{
		`imagecache_prepare_runs_total{outcome="Hit"} 1`,
		`imagecache_prepare_runs_total{outcome="Failed"} 1`,
		`imagecache_prepare_step_duration_seconds_sum{outcome="Succeeded",step="Pull"} 1.5`,
		`imagecache_prepare_step_duration_seconds_sum{outcome="Failed",step="Build"} 3`,
		`imagecache_prepare_transferred_bytes_total{step="Pull"} 1000`,
		`imagecache_prepare_saved_seconds_total 225`,
		`imagecache_prepare_duration_seconds_count{outcome="Hit"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the file lacks %s:\n%s", line, metrics)
		}
	}
	metrics, _ = measuredRun(t, file, nil, nil, runner.ErrInterrupted)
	if !strings.Contains(metrics, `imagecache_prepare_runs_total{outcome="Interrupted"} 1`) {
		t.Errorf("an interrupted run is not counted:\n%s", metrics)
	}
}

func TestFileThatCannotBeWrittenStopsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "absent", "imagecache.prom")
	_, log := measuredRun(t, file, nil, someResult, nil)
	if !strings.Contains(log, "this run's metrics are lost: ") {
		t.Errorf("the log does not tell it:\n%s", log)
	}
}

func TestMetricsFileHasToBeOneThatIsRead(t *testing.T) {
	p := &prepare{metricsFile: "metrics.txt", withoutCluster: "fail"}
	if err := p.complete("."); err == nil || !strings.Contains(err.Error(), ".prom") {
		t.Errorf("the error is %v", err)
	}
}

// A publication in the background adds its own counter and steps, and no run: prepare counted that.
func TestPublicationInTheBackgroundIsCounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "imagecache.prom")
	for _, err := range []error{nil, errors.New("no space"), runner.ErrInterrupted} {
		metrics := newRunMetrics(console.NewLog(io.Discard, console.Style{}))
		metrics.Emit(runner.Event{Kind: runner.EventFinished, Step: "Save", Seconds: 2})
		if err := metrics.writePublication(file, err); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []string{"Published", "Failed", "Interrupted"} {
		if want := `imagecache_prepare_background_publications_total{outcome="` + outcome + `"} 1`; !strings.Contains(string(content), want) {
			t.Errorf("no %s in\n%s", want, content)
		}
	}
	for _, other := range []string{"imagecache_prepare_runs_total", "imagecache_prepare_last_run_timestamp_seconds"} {
		if strings.Contains(string(content), other) {
			t.Errorf("%s is in\n%s", other, content)
		}
	}
}
