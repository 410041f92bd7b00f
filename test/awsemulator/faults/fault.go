// Package faults makes emulated operations fail, wait and vanish, as networks and AWS do.
package faults

import (
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// Fault is one way in which calls go wrong. Of Next, Every and Probability at most one is set; with none of them every
// call is hit. A fault without Code and DropConnection only adds Latency.
type Fault struct {
	Operation      string        `json:"operation"`                // ecr:PutImage, ecr:*, or * for all
	Code           string        `json:"code,omitempty"`           // the error to answer with
	Message        string        `json:"message,omitempty"`        // default: the code
	Status         int           `json:"status,omitempty"`         // HTTP status; default 400, 500 for InternalFailure and ServerException, 503 for ServiceUnavailable
	Next           int           `json:"next,omitempty"`           // the next n calls
	Every          int           `json:"every,omitempty"`          // every nth call
	Probability    float64       `json:"probability,omitempty"`    // 0 to 1
	Seed           uint64        `json:"seed,omitempty"`           // of the probability; the same seed gives the same calls
	Latency        time.Duration `json:"latencyNanos,omitempty"`   // before anything else
	DropConnection bool          `json:"dropConnection,omitempty"` // close the connection instead of answering
	AfterEffect    bool          `json:"afterEffect,omitempty"`    // let the operation act first, then fail: the answer is lost, not the call
}

// Rate is a token bucket: AWS refills it at PerSecond and lets Burst calls through at once.
type Rate struct {
	Operation string  `json:"operation"` // as in Fault; each operation that matches has a bucket of its own
	PerSecond float64 `json:"perSecond"`
	Burst     float64 `json:"burst"` // default PerSecond, at least 1
}

// Outcome is what happens to one call. The zero value lets it through.
type Outcome struct {
	Latency     time.Duration
	Drop        bool
	Err         error // the AWS error to answer with; nil: none
	AfterEffect bool
}

type entry struct {
	Fault
	seen   int
	random *rand.Rand
}

type bucket struct {
	tokens float64
	at     time.Time
}

// Faults holds what is to go wrong. It is safe for concurrent use; the zero value lets everything through.
type Faults struct {
	mu      sync.Mutex
	entries []*entry
	rates   []Rate
	buckets map[string]*bucket
}

// Add puts a fault behind those that are there. The first fault that hits a call decides; latencies add up.
func (f *Faults) Add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, &entry{Fault: fault, random: rand.New(rand.NewPCG(fault.Seed, 1))})
}

// Limit throttles operations by a token bucket, as AWS does. A later one for the same pattern replaces the earlier.
func (f *Faults) Limit(r Rate) {
	if r.Burst == 0 {
		r.Burst = max(1, r.PerSecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets = map[string]*bucket{}
	for i := range f.rates {
		if f.rates[i].Operation == r.Operation {
			f.rates[i] = r
			return
		}
	}
	f.rates = append(f.rates, r)
}

// Clear removes all faults and rates.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.rates, f.buckets = nil, nil, nil
}

// All is a copy of the faults that can still hit.
func (f *Faults) All() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []Fault{}
	for _, e := range f.entries {
		left := e.Fault
		if e.Next > 0 {
			left.Next = e.Next - e.seen
			if left.Next <= 0 {
				continue
			}
		}
		out = append(out, left)
	}
	return out
}

// Decide tells what happens to a call of the operation that comes in now, and counts it.
func (f *Faults) Decide(operation string, now time.Time) Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out Outcome
	if len(f.entries) == 0 && len(f.rates) == 0 {
		return out
	}
	for _, e := range f.entries {
		if !matches(e.Operation, operation) || !e.hits() {
			continue
		}
		out.Latency += e.Latency
		if e.Code == "" && !e.DropConnection {
			continue
		}
		out.Drop, out.AfterEffect = e.DropConnection, e.AfterEffect
		if e.Code != "" {
			out.Err = e.err()
		}
		return out
	}
	if !f.take(operation, now) {
		out.Err = apierror.Throttled()
	}
	return out
}

func (e *entry) hits() bool {
	e.seen++
	switch {
	case e.Next > 0:
		return e.seen <= e.Next
	case e.Every > 0:
		return e.seen%e.Every == 0
	case e.Probability > 0:
		return e.random.Float64() < e.Probability
	}
	return true
}

func (e *entry) err() error {
	status := e.Status
	if status == 0 {
		switch e.Code {
		case "InternalFailure", "ServerException", "ServiceFailure", "InternalServiceException":
			status = 500
		case "ServiceUnavailable", "ServiceUnavailableException":
			status = 503
		case "AccessDenied":
			status = 403
		}
	}
	message := e.Message
	if message == "" {
		message = e.Code
		if e.Code == "ThrottlingException" || e.Code == "Throttling" || e.Code == "TooManyRequestsException" {
			message = "Rate exceeded"
		}
	}
	return apierror.WithStatus(status, e.Code, "%s", message)
}

func (f *Faults) take(operation string, now time.Time) bool {
	for _, r := range f.rates {
		if !matches(r.Operation, operation) {
			continue
		}
		b := f.buckets[operation]
		if b == nil {
			b = &bucket{tokens: r.Burst, at: now}
			f.buckets[operation] = b
		}
		b.tokens = min(r.Burst, b.tokens+now.Sub(b.at).Seconds()*r.PerSecond)
		b.at = now
		if b.tokens < 1 {
			return false
		}
		b.tokens--
		return true
	}
	return true
}

func matches(pattern, operation string) bool {
	if pattern == "*" || pattern == operation {
		return true
	}
	ok, err := path.Match(pattern, operation)
	return err == nil && ok
}
