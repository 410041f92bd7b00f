package console

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// JSONLines writes events as JSON, one per line, each with its time. It writes the progress of a step at most once a
// second, and always the last one. It is safe for concurrent use.
type JSONLines struct {
	mu    sync.Mutex
	out   *json.Encoder
	paces paces
}

// NewJSONLines returns a log of JSON lines.
func NewJSONLines(out io.Writer) *JSONLines {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &JSONLines{out: encoder, paces: newPaces()}
}

// Emit writes an event.
func (j *JSONLines) Emit(event runner.Event) {
	event.Text = message.Redact(event.Text)
	j.mu.Lock()
	defer j.mu.Unlock()
	if event.Kind == runner.EventProgress && !j.paces.due(event, programPace) && event.DoneBytes != event.TotalBytes {
		return
	}
	_ = j.out.Encode(struct {
		Time time.Time `json:"time"`
		runner.Event
	}{j.paces.now().UTC(), event})
}
