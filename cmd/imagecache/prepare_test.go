package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/runner"
)

func TestExitCodesAreDistinct(t *testing.T) {
	var out bytes.Buffer
	codes := map[int]string{}
	for name, code := range map[string]int{
		"hit":         exitCodeOf(runner.OutcomeHit),
		"published":   exitCodeOf(runner.OutcomePublished),
		"built":       exitCodeOf(runner.OutcomeBuilt),
		"bypassed":    exitCodeOf(runner.OutcomeBypassed),
		"failed":      cli.ExitCode(errors.New("no"), &out),
		"usage":       cli.ExitCode(cli.UsageError("no"), &out),
		"interrupted": cli.ExitCode(runner.ErrInterrupted, &out),
	} {
		if other, taken := codes[code]; taken {
			t.Errorf("%s and %s both have exit code %d", name, other, code)
		}
		codes[code] = name
	}
	for code := range codes {
		if !strings.Contains(exitHelp, "\n  "+string(rune('0'+code))) && code < 10 {
			t.Errorf("exit code %d is not in the help", code)
		}
	}
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

var someResult = &runner.Result{
	Outcome: runner.OutcomeHit, Image: "imagecache.local/web:4f3c21a9b7e0", Reference: "r@sha256:1", Environment: "env-1",
	SavedSeconds: 225, Seconds: runner.Times{Total: 2.34, Pull: 1.9},
}

func prepareInto(out *bytes.Buffer, format string) *prepare {
	return &prepare{streams: cli.Streams{Out: out}, output: format, clock: clocktesting.NewFakePassiveClock(noon)}
}

func TestResultForms(t *testing.T) {
	tests := map[string]string{
		outputText: "Image:  imagecache.local/web:4f3c21a9b7e0\nResult: hit, pulled from the cache in 2.3 s",
		outputName: "imagecache.local/web:4f3c21a9b7e0",
		outputJSONLines: `{"time":"2026-01-31T12:00:00Z","event":"Result","outcome":"Hit","image":"imagecache.local/web:4f3c21a9b7e0",` +
			`"reference":"r@sha256:1","environment":"env-1","savedSeconds":225,"seconds":{"total":2.34,"pull":1.9}}`,
	}
	for format, want := range tests {
		var out bytes.Buffer
		if err := prepareInto(&out, format).print(someResult); err != nil {
			t.Error(err)
		}
		wantOutput(t, "form "+format, out.String(), want)
	}
	var out bytes.Buffer
	if err := prepareInto(&out, outputJSON).print(someResult); err != nil {
		t.Error(err)
	}
	var result runner.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Image != someResult.Image {
		t.Errorf("JSON %s: %v", &out, err)
	}
}

func TestSummariesOfOutcomes(t *testing.T) {
	tests := map[string]struct {
		result runner.Result
		want   string
	}{
		"published": {runner.Result{Outcome: runner.OutcomePublished, Image: "i"}, "Image:  i\nResult: miss, built and published in 0.0 s"},
		"built":     {runner.Result{Outcome: runner.OutcomeBuilt, Image: "i"}, "Image:  i\nResult: built here and not published, in 0.0 s"},
		"bypassed":  {runner.Result{Outcome: runner.OutcomeBypassed, Image: "i"}, "Image:  i\nResult: bypassed, built here in 0.0 s"},
		"services": {
			runner.Result{Outcome: runner.OutcomePublishing, Image: "i", Services: []*runner.Result{
				{Service: "app", Outcome: runner.OutcomeHit, Image: "i"},
				{Service: "job", Outcome: runner.OutcomePublishing, Image: "j", Publication: "p-1"},
				{Service: "web", Outcome: runner.OutcomePublishing, Image: "k", Publication: "p-2"},
			}},
			"Image:  i (app)\nImage:  j (job)\nImage:  k (web)\nResult: miss, built in 0.0 s, is being published; see imagecache publications wait p-1 p-2",
		},
		"compose": {runner.Result{Outcome: runner.OutcomeBypassed}, "Result: bypassed, nothing to build"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantOutput(t, "summary", summary(&test.result), test.want) })
	}
}

func TestFailureForPrograms(t *testing.T) {
	var out bytes.Buffer
	if err := prepareInto(&out, outputJSON).printFailure(errors.New("no\nbuilder")); err != nil {
		t.Error(err)
	}
	wantOutput(t, "JSON", out.String(), `{"error":"no builder","outcome":"Failed"}`)
}
