package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/runner"
)

// build is what happens on a miss, in short.
var build = []runner.Event{
	{Kind: runner.EventSection, Text: "Creating dev container"},
	{Kind: runner.EventStarted, Step: "Read", Text: "Reading the configuration"},
	{Kind: runner.EventFinished, Step: "Read", Text: "Read .devcontainer.json (Image)", Seconds: 0.01},
	{Kind: runner.EventStarted, Step: "Build", Text: "Building with podman"},
	{Kind: runner.EventOutput, Step: "Build", Text: "STEP 1/1: FROM base"},
	{Kind: runner.EventFinished, Step: "Build", Text: "Built it", Seconds: 12.34},
	{Kind: runner.EventUsable, Text: "Use it", Image: "built:1"},
	{Kind: runner.EventStarted, Step: "Upload", Text: "Uploading 2 of 3 blobs"},
	{Kind: runner.EventProgress, Step: "Upload", DoneBytes: 5_000_000, TotalBytes: 10_000_000},
	{Kind: runner.EventFailed, Step: "Upload", Text: "the registry is away", Seconds: 1},
	{Kind: runner.EventNotice, Text: "not published"},
	{Kind: runner.EventSaved, Text: "⚡️ saved"},
}

func show(style Style) string {
	var out bytes.Buffer
	log := NewLog(&out, style)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	log.paces.now = func() time.Time { now = now.Add(time.Second); return now }
	for _, event := range build {
		log.Emit(event)
	}
	return out.String()
}

func TestLogInAPipe(t *testing.T) {
	const want = `Creating dev container
  ✓ Read .devcontainer.json (Image)  0.0 s
  Building with podman
    │ STEP 1/1: FROM base
  ✓ Built it  12.3 s
  Use it
  Uploading 2 of 3 blobs
  ✗ the registry is away  1.0 s
  ! not published
  ⚡️ saved
`
	if got := show(Style{}); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestLogOnATerminal(t *testing.T) {
	got := show(Style{Terminal: true, Color: true, Width: 80})
	for _, want := range []string{
		"\x1b[1mCreating dev container\x1b[0m",
		"\x1b[2m    │ STEP 1/1: FROM base\x1b[0m",
		"\x1b[32m✓\x1b[0m Built it",
		"[██████████░░░░░░░░░░]  50 %  5.0 MB / 10.0 MB",
		"\r\x1b[K",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	// What stays on the screen is what a pipe gets, but for the lines that were written over.
	var screen strings.Builder
	for line := range strings.Lines(got) {
		if _, last, found := strings.Cut(line, "\r\x1b[K"); found {
			line = last[strings.LastIndex(last, "\r\x1b[K")+1:]
			line = strings.TrimPrefix(line, "\x1b[K")
		}
		screen.WriteString(line)
	}
	if strings.Contains(screen.String(), "…") {
		t.Errorf("lines that should be written over stay: %q", screen.String())
	}
}

func TestLinesThatAreWrittenOverFitTheTerminal(t *testing.T) {
	got := show(Style{Terminal: true, Width: 20})
	for part := range strings.SplitSeq(got, "\r\x1b[K") {
		if line, _, _ := strings.Cut(part, "\n"); strings.HasPrefix(line, "  … ") && len([]rune(line)) > 19 {
			t.Errorf("line %q is too long for 20 columns", line)
		}
	}
}

func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	log := NewJSONLines(&out)
	log.paces.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	for _, event := range build {
		log.Emit(event)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := len(build) - 1; len(lines) != want {
		t.Fatalf("%d lines, want %d: all but the progress, which began a moment ago", len(lines), want)
	}
	if want := `{"time":"2026-01-02T03:04:05Z","event":"Section","text":"Creating dev container"}`; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	if want := `{"time":"2026-01-02T03:04:05Z","event":"Usable","text":"Use it","image":"built:1"}`; lines[6] != want {
		t.Errorf("got  %s\nwant %s", lines[6], want)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("line %q is no JSON", line)
		}
	}
}

// transfer is a pull of 100 MB with a progress each hundredth of a second.
func transfer(emit func(runner.Event), at *time.Time, took time.Duration) {
	const size, step = 100_000_000, 10 * time.Millisecond
	emit(runner.Event{Kind: runner.EventStarted, Step: "Pull", Text: "Pulling " + strings.Repeat("a-long-name/", 20)})
	for passed := step; passed <= took; passed += step {
		*at = at.Add(step)
		emit(runner.Event{Kind: runner.EventProgress, Step: "Pull", DoneBytes: int64(size * float64(passed) / float64(took)), TotalBytes: size})
	}
	emit(runner.Event{Kind: runner.EventFinished, Step: "Pull", Text: "Pulled 100.0 MB", Seconds: took.Seconds()})
}

func TestProgressDoesNotFloodALog(t *testing.T) {
	tests := map[string]struct {
		took time.Duration
		make func(out *bytes.Buffer, now func() time.Time) func(runner.Event)
		// lines are all that is written, lines that were written over included.
		least, most int
	}{
		"a pipe, quick": {5 * time.Second, plainLog, 2, 2},
		"a pipe, slow":  {35 * time.Second, plainLog, 5, 5},
		"a terminal":    {5 * time.Second, terminalLog, 45, 60},
		"a program":     {5 * time.Second, jsonLog, 7, 8},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			var out bytes.Buffer
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			transfer(test.make(&out, func() time.Time { return at }), &at, test.took)
			if lines := strings.Count(out.String(), "\n") + strings.Count(out.String(), "\r"); lines < test.least || lines > test.most {
				t.Errorf("%d lines, want %d to %d:\n%s", lines, test.least, test.most, out.String())
			}
			if !strings.Contains(out.String(), "100.0 MB") {
				t.Errorf("the end is missing:\n%s", out.String())
			}
		})
	}
}

func plainLog(out *bytes.Buffer, now func() time.Time) func(runner.Event) {
	log := NewLog(out, Style{})
	log.paces.now = now
	return log.Emit
}

func terminalLog(out *bytes.Buffer, now func() time.Time) func(runner.Event) {
	log := NewLog(out, Style{Terminal: true, Width: 80})
	log.paces.now = now
	return log.Emit
}

func jsonLog(out *bytes.Buffer, now func() time.Time) func(runner.Event) {
	log := NewJSONLines(out)
	log.paces.now = now
	return func(event runner.Event) {
		event.Text = strings.ReplaceAll(event.Text, "\n", " ")
		log.Emit(event)
	}
}

func TestABarFitsBesideALongName(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	transfer(terminalLog(&out, func() time.Time { return at }), &at, time.Second)
	bars := 0
	for part := range strings.SplitSeq(out.String(), "\r\x1b[K") {
		line, _, _ := strings.Cut(part, "\n")
		if !strings.HasPrefix(line, "  … ") {
			continue
		}
		if columns := len([]rune(line)); columns > 79 {
			t.Errorf("%d columns: %q", columns, line)
		}
		if strings.Contains(line, "█") && strings.HasSuffix(line, "/ 100.0 MB") {
			bars++
		}
	}
	if bars == 0 {
		t.Errorf("no bar in %q", out.String())
	}
}

func TestALongTransferInAPipeIsALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	transfer(plainLog(&out, func() time.Time { return at }), &at, 25*time.Second)
	const want = `
     40 %  40.0 MB / 100.0 MB
     80 %  80.0 MB / 100.0 MB
  ✓ Pulled 100.0 MB  25.0 s
`
	if _, got, _ := strings.Cut(out.String(), "\n"); "\n"+got != want {
		t.Errorf("got:\n%s\nwant:%s", got, want)
	}
}

func TestWhatTheEngineDoesWithoutATransferIsShown(t *testing.T) {
	events := []runner.Event{
		{Kind: runner.EventStarted, Step: "Pull", Text: "Pulling it"},
		{Kind: runner.EventProgress, Step: "Pull", DoneBytes: 96_000_000, TotalBytes: 100_000_000},
		{Kind: runner.EventProgress, Step: "Pull", Text: "extracting", DoneBytes: 96_000_000, TotalBytes: 100_000_000},
		{Kind: runner.EventFinished, Step: "Pull", Text: "Pulled 96.0 MB", Seconds: 25},
	}
	for style, want := range map[Style]string{
		{}:                           "  Pulling it\n     96 %  96.0 MB / 100.0 MB, extracting\n  ✓ Pulled 96.0 MB  25.0 s\n",
		{Terminal: true, Width: 120}: "96 %  96.0 MB / 100.0 MB, extracting",
	} {
		var out bytes.Buffer
		log := NewLog(&out, style)
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		log.paces.now = func() time.Time { now = now.Add(plainPace); return now }
		for _, event := range events {
			log.Emit(event)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("got:\n%q\nwant:\n%q", out.String(), want)
		}
	}
}

func TestABriefStepThatTakesLongIsAnnounced(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, Style{})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	log.paces.now = func() time.Time { now = now.Add(6 * time.Second); return now }
	log.Emit(runner.Event{Kind: runner.EventStarted, Step: "Save", Text: "Saving layers"})
	for bytes := int64(100_000_000); bytes <= 500_000_000; bytes += 100_000_000 {
		log.Emit(runner.Event{Kind: runner.EventProgress, Step: "Save", DoneBytes: bytes})
	}
	log.Emit(runner.Event{Kind: runner.EventFinished, Step: "Save", Text: "Saved 9 layers, 200.0 MB", Seconds: 30})
	const want = "  Saving layers\n    300.0 MB\n    500.0 MB\n  ✓ Saved 9 layers, 200.0 MB  30.0 s\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestLogsShowNoPresignedAddress(t *testing.T) {
	const text = `Get "https://storage/layer?X-Amz-Signature=SECRET": EOF`
	var plain, lines bytes.Buffer
	for _, kind := range []runner.EventKind{runner.EventOutput, runner.EventFailed, runner.EventNotice} {
		NewLog(&plain, Style{}).Emit(runner.Event{Kind: kind, Text: text})
		NewJSONLines(&lines).Emit(runner.Event{Kind: kind, Text: text})
	}
	NewLog(&plain, Style{}).Line(text)
	for name, got := range map[string]string{"a log": plain.String(), "JSON lines": lines.String()} {
		if strings.Contains(got, "SECRET") || !strings.Contains(got, "storage/layer?REDACTED") {
			t.Errorf("%s has %s", name, got)
		}
	}
}
