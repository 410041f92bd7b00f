package console

import (
	"time"

	"imagecache.dev/internal/runner"
)

// How often the progress of one step is reported.
const (
	// plainPace is for lines that stay.
	plainPace = 10 * time.Second
	// programPace is for programs that show progress.
	programPace = time.Second
)

// paces limits how often progress is logged. It is not safe for concurrent use.
type paces struct {
	now  func() time.Time
	told map[string]time.Time // by step
}

func newPaces() paces { return paces{now: time.Now, told: map[string]time.Time{}} }

// due reports whether to log the progress of a step: one pace after the last report, or after the step began.
func (p paces) due(event runner.Event, pace time.Duration) bool {
	now := p.now()
	last, known := p.told[stepOf(event)]
	switch {
	case !known:
		p.told[stepOf(event)] = now
		return false
	case now.Sub(last) < pace:
		return false
	}
	p.told[stepOf(event)] = now
	return true
}
