package prebuild_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/prebuild"
	"imagecache.dev/internal/runner"
)

func workspace(t *testing.T, configs ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, config := range configs {
		file := filepath.Join(folder, config)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(`{"image":"base"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestItemsAreAllConfigurationsForAllPlatforms(t *testing.T) {
	const usual, api, web = ".devcontainer/devcontainer.json", ".devcontainer/api/devcontainer.json", ".devcontainer/web/devcontainer.json"
	folder := workspace(t, web, usual, api)
	for name, test := range map[string]struct {
		configs, platforms []string
		want               []prebuild.Item
		names              []string
	}{
		"all": {want: []prebuild.Item{{usual, ""}, {api, ""}, {web, ""}}, names: []string{usual, "api", "web"}},
		"one for two platforms": {
			configs: []string{web}, platforms: []string{"linux/amd64", "linux/arm64"},
			want: []prebuild.Item{{web, "linux/amd64"}, {web, "linux/arm64"}}, names: []string{"web linux/amd64", "web linux/arm64"},
		},
		"each once": {configs: []string{web, "./" + web, filepath.Join(folder, web)}, want: []prebuild.Item{{web, ""}}, names: []string{"web"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := prebuild.Items(folder, test.configs, test.platforms)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Fatalf("%v, items (-want +got):\n%s", err, diff)
			}
			var names []string
			for _, item := range got {
				names = append(names, item.Name())
			}
			if diff := cmp.Diff(test.names, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
	for what, configs := range map[string][]string{"a workspace without any": nil, "one that is missing": {web}} {
		if got, err := prebuild.Items(workspace(t), configs, nil); !errors.Is(err, devcontainer.ErrNotFound) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

func TestItemsAreBuiltSeveralAtOnceAndInOrder(t *testing.T) {
	items := []prebuild.Item{{"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}, {"e", ""}}
	var running, most atomic.Int32
	first, second := make(chan struct{}), make(chan struct{})
	rows := prebuild.Run(t.Context(), items, 2, func(_ context.Context, item prebuild.Item) (*runner.Result, error) {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		defer running.Add(-1)
		switch item.Config {
		case "a":
			close(first)
			<-second
			return nil, errors.New("RUN make:\n exit status 2")
		case "b":
			<-first
			close(second)
		}
		return &runner.Result{Outcome: runner.OutcomePresent, Hash: item.Config}, nil
	})
	if most.Load() != 2 {
		t.Errorf("%d were built at once, want 2", most.Load())
	}
	if prebuild.Failed(rows) != 1 || rows[0].Outcome() != "Failed" || rows[0].Reason() != "RUN make: exit status 2" {
		t.Errorf("the first row is %+v", rows[0])
	}
	for i, item := range items {
		if rows[i].Item != item || i > 0 && rows[i].Result.Hash != item.Config {
			t.Errorf("row %d is %+v", i, rows[i])
		}
	}
}

func TestInterruptedItemsAreNotBegun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	rows := prebuild.Run(ctx, []prebuild.Item{{"a", ""}, {"b", ""}}, 1, func(context.Context, prebuild.Item) (*runner.Result, error) {
		cancel(runner.ErrInterrupted)
		return &runner.Result{Outcome: runner.OutcomePublished}, nil
	})
	if rows[0].Err != nil || !errors.Is(rows[1].Err, runner.ErrInterrupted) {
		t.Errorf("rows %+v", rows)
	}
}

// log records events as lines.
type log struct{ lines []string }

func (l *log) Emit(event runner.Event) { l.lines = append(l.lines, string(event.Kind)+": "+event.Text) }

func TestOutputIsShownOnlyOfABuildThatFails(t *testing.T) {
	seen := &log{}
	events := prebuild.Named(seen, prebuild.Item{Config: ".devcontainer/web/devcontainer.json"})
	for _, event := range []runner.Event{
		{Kind: runner.EventSection, Text: "Prebuilding"}, {Kind: runner.EventStarted, Text: "Building"},
		{Kind: runner.EventOutput, Text: "of a step that succeeds"}, {Kind: runner.EventProgress, DoneBytes: 1}, {Kind: runner.EventFinished, Text: "Built"},
		{Kind: runner.EventOutput, Text: "no such file"}, {Kind: runner.EventOutput, Service: "job", Text: "of another service"},
		{Kind: runner.EventFinished, Service: "job", Text: "Uploaded"}, {Kind: runner.EventFailed, Text: "failed"}, {Kind: runner.EventUsable},
	} {
		events.Emit(event)
	}
	want := []string{"Started: web: Building", "Finished: web: Built", "Finished: web: Uploaded", "Output: web: no such file", "Failed: web: failed", "Usable: "}
	if diff := cmp.Diff(want, seen.lines); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSummaryIsATable(t *testing.T) {
	expires := time.Date(2026, 12, 24, 1, 2, 3, 0, time.UTC)
	result := &runner.Result{Outcome: runner.OutcomePublished, Hash: strings.Repeat("0a", 32), ExpiresAt: &expires, Reason: "Refresh: asked for"}
	result.Seconds.Total = 61.4
	var out strings.Builder
	if err := prebuild.WriteSummary(&out, "web", []prebuild.Row{
		{Item: prebuild.Item{Config: ".devcontainer/api/devcontainer.json"}, Result: result},
		{Item: prebuild.Item{Config: ".devcontainer.json", Platform: "linux/arm64"}, Err: errors.New("a | b\n<script>")},
	}); err != nil {
		t.Fatal(err)
	}
	want := "### Dev container images of web\n\n| Configuration | Result | Hash | Expires | Time | |\n|---|---|---|---|---|---|\n" +
		"| api | Replaced | `0a0a0a0a0a0a` | 2026-12-24 | 61 s | Refresh: asked for |\n" +
		"| .devcontainer.json linux/arm64 | Failed | `` |  |  | a \\| b &lt;script&gt; |\n\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}
