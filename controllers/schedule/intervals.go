// Package schedule says how often AWS is read and spreads that over time.
package schedule

import (
	"time"
)

// Intervals are how often AWS is read although nothing in the cluster changed. A zero stands for the usual interval.
type Intervals struct {
	// Stack is how often a runner's stack is read: every 30 s.
	Stack time.Duration
	// Roles is how often a runner's roles are looked at: every 10 min.
	Roles time.Duration
	// Drift is how often all repositories are compared with what is wanted of them: every 5 min.
	Drift time.Duration
	// Sweep is how often a repository's policies are read, which costs two calls each: every 24 h.
	Sweep time.Duration
	// Statistics is how often a project's images are counted at most: every minute.
	Statistics time.Duration
}

// WithDefaults returns the intervals with the usual ones in place of zeros.
func (i Intervals) WithDefaults() Intervals {
	for interval, usual := range map[*time.Duration]time.Duration{
		&i.Stack:      30 * time.Second,
		&i.Roles:      10 * time.Minute,
		&i.Drift:      5 * time.Minute,
		&i.Sweep:      24 * time.Hour,
		&i.Statistics: time.Minute,
	} {
		if *interval == 0 {
			*interval = usual
		}
	}
	return i
}
