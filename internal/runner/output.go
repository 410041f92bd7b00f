package runner

import (
	"bytes"
	"strings"
	"sync"
)

// maxOutputLine limits how much of a line without an end is kept.
const maxOutputLine = 16 << 10

// outputLines is a writer that emits each line of a program's output as an event of a step.
type outputLines struct {
	events Events
	step   string

	mu   sync.Mutex
	rest []byte
}

func (o *outputLines) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, p...)
	for {
		end := bytes.IndexByte(o.rest, '\n')
		if end < 0 && len(o.rest) < maxOutputLine {
			return len(p), nil
		}
		if end < 0 {
			end = len(o.rest) - 1
		}
		o.tell(o.rest[:end+1])
		o.rest = o.rest[end+1:]
	}
}

// flush emits what came after the last line's end.
func (o *outputLines) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tell(o.rest)
	o.rest = nil
}

// tell emits a line. If a program overwrote the line by carriage returns, the last state counts.
func (o *outputLines) tell(line []byte) {
	text := strings.TrimRight(string(line), "\r\n")
	if over := strings.LastIndexByte(text, '\r'); over >= 0 {
		text = text[over+1:]
	}
	if text != "" {
		o.events.Emit(Event{Kind: EventOutput, Step: o.step, Text: text})
	}
}

// Output is a writer that emits each line of a program's output as an event of a step.
type Output struct{ lines outputLines }

// NewOutput returns an Output for a step.
func NewOutput(events Events, step string) *Output {
	return &Output{outputLines{events: events, step: step}}
}

func (o *Output) Write(p []byte) (int, error) { return o.lines.Write(p) }

// Flush emits what came after the last line's end.
func (o *Output) Flush() { o.lines.flush() }
