// Package calls keeps a log of what clients asked of the emulator.
package calls

import (
	"maps"
	"sync"
	"time"
)

// Protocols by which a call can come in.
const (
	JSON     = "json"
	Query    = "query"
	Registry = "registry"
)

// Call is one answered request. Requests of the registry carry the ecr: action that they are authorised as.
type Call struct {
	Time      time.Time     `json:"time"` // of the emulator's clock
	Operation string        `json:"operation"`
	Protocol  string        `json:"protocol"`
	Principal string        `json:"principal,omitempty"` // ARN; empty where authentication failed
	Resource  string        `json:"resource,omitempty"`  // what was authorised last; empty where nothing was
	Path      string        `json:"path,omitempty"`      // registry only: method and path
	Status    int           `json:"status"`
	ErrorCode string        `json:"errorCode,omitempty"`
	Took      time.Duration `json:"tookNanoseconds"`
}

// keep bounds the memory that a long run takes: of calls before the last keep, only the counts remain.
const keep = 200_000

// Log is safe for concurrent use. The zero value is ready.
type Log struct {
	mu     sync.Mutex
	calls  []Call
	start  int // calls is a ring once it is full
	total  int
	counts map[string]int
	errors map[string]int
}

// Add appends a call.
func (l *Log) Add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts, l.errors = map[string]int{}, map[string]int{}
	}
	l.total++
	l.counts[c.Operation]++
	if c.ErrorCode != "" {
		l.errors[c.Operation]++
	}
	if len(l.calls) < keep {
		l.calls = append(l.calls, c)
		return
	}
	l.calls[l.start] = c
	l.start = (l.start + 1) % keep
}

// Reset forgets all calls.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.start, l.total, l.counts, l.errors = nil, 0, 0, map[string]int{}, map[string]int{}
}

// Count is the number of calls of one operation, such as ecr:PutImage, over API and registry together.
func (l *Log) Count(operation string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[operation]
}

// Errors is how many of the operation's calls were answered with an error.
func (l *Log) Errors(operation string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errors[operation]
}

// Total is the number of all calls.
func (l *Log) Total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Counts is a copy of the number of calls by operation.
func (l *Log) Counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// All is a copy of the calls, oldest first; at most the last 200,000.
func (l *Log) All() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, 0, len(l.calls))
	out = append(out, l.calls[l.start:]...)
	return append(out, l.calls[:l.start]...)
}
