// Package schedule defines how often AWS is read and spreads the reads over time.
package schedule

import (
	"time"
)

// Intervals are how often AWS is read although nothing in the cluster changed. Zero means the default interval.
type Intervals struct {
	// Stack is how often a runner's stack is read: by default every 5 min.
	Stack time.Duration
	// FaultyStack is the same for a stack that something is wrong with: by default every minute.
	FaultyStack time.Duration
	// StackCalls is how many calls a minute read stacks in one account and region at most: by default 20. AWS answers
	// about five a second to the whole account.
	StackCalls int
	// Roles is how often a runner's roles are checked: by default every 10 min.
	Roles time.Duration
	// Drift is how often all repositories are compared with their desired state: by default every 5 min.
	Drift time.Duration
	// Sweep is how often a repository's policies are read, which takes two calls each: by default every 24 h.
	Sweep time.Duration
	// Statistics is the shortest time between two counts of a project's images: by default one minute.
	Statistics time.Duration
}

// WithDefaults returns the intervals with defaults in place of zeros.
func (i Intervals) WithDefaults() Intervals {
	for interval, usual := range map[*time.Duration]time.Duration{
		&i.Stack:       5 * time.Minute,
		&i.FaultyStack: time.Minute,
		&i.Roles:       10 * time.Minute,
		&i.Drift:       5 * time.Minute,
		&i.Sweep:       24 * time.Hour,
		&i.Statistics:  time.Minute,
	} {
		if *interval == 0 {
			*interval = usual
		}
	}
	if i.StackCalls == 0 {
		i.StackCalls = 20
	}
	return i
}
