package runner

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded keeps the events it gets.
type recorded struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorded) Emit(event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// texts are the texts of the events of a kind.
func (r *recorded) texts(kind EventKind) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, event := range r.events {
		if event.Kind == kind {
			texts = append(texts, event.Text)
		}
	}
	return texts
}

func TestOutputIsToldLineByLine(t *testing.T) {
	seen := &recorded{}
	output := &outputLines{events: seen, step: "Build"}
	for _, part := range []string{"one\ntw", "o\r\n\n10 %\r100 %\n", "the end"} {
		if n, err := io.WriteString(output, part); n != len(part) || err != nil {
			t.Fatalf("write %q: %d, %v", part, n, err)
		}
	}
	output.flush()
	want := []string{"one", "two", "100 %", "the end"}
	if diff := cmp.Diff(want, seen.texts(EventOutput)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestOutputWithoutLineEndsIsBounded(t *testing.T) {
	seen := &recorded{}
	output := &outputLines{events: seen, step: "Build"}
	for range 10 {
		_, _ = io.WriteString(output, strings.Repeat("x", maxOutputLine))
	}
	if len(output.rest) > maxOutputLine {
		t.Errorf("%d bytes are kept back", len(output.rest))
	}
	if got := len(seen.texts(EventOutput)); got != 10 {
		t.Errorf("%d lines were told, want 10", got)
	}
}
