package console

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"imagecache.dev/internal/runner"
)

// JSONLines writes events as JSON, one a line, each with its time. It is safe for concurrent use.
type JSONLines struct {
	mu  sync.Mutex
	out *json.Encoder
	now func() time.Time
}

// NewJSONLines makes a log of JSON lines.
func NewJSONLines(out io.Writer) *JSONLines {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &JSONLines{out: encoder, now: time.Now}
}

// Emit writes an event.
func (j *JSONLines) Emit(event runner.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.out.Encode(struct {
		Time time.Time `json:"time"`
		runner.Event
	}{j.now().UTC(), event})
}
