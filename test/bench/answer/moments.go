package answer

import (
	"context"
	"fmt"
	"time"

	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

// moment is when answers are measured.
type moment string

const (
	before          moment = "before"
	whileTheyArrive moment = "while the last 10,000 of another namespace's 100,000 arrive"
	whileTheyLie    moment = "beside 100,000 of another namespace"
	whenAllWake     moment = "when all 100,000 of another namespace wake"
	afterRestart    moment = "when the manager starts again meanwhile"
)

// moments are the answers of one namespace at several moments.
type moments struct {
	w     *world.World
	level level
	took  map[moment][]time.Duration
	slice int // of the next measurement; it makes the requests' names unique
}

// measure takes a moment's answers.
func (m *moments) measure(ctx context.Context, at moment) error {
	for range slices {
		measured, err := measure(ctx, m.w, ours, m.level, m.slice)
		m.slice++
		m.took[at] = append(m.took[at], measured...)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// first waits for the first answer after a start, which does not count: the manager reads 100,000 requests before.
func (m *moments) first(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	answers := &arrivals{times: map[string]chan time.Time{}}
	if err := follow(ctx, m.w, ours, answers.see); err != nil {
		return err
	}
	_, err := one(ctx, m.w, ours, "first-after-restart", answers)
	return err
}

// figures compares each moment with the first.
func (m *moments) figures() []figure.Figure {
	var figures []figure.Figure
	for _, at := range []moment{whileTheyArrive, whileTheyLie, whenAllWake, afterRestart} {
		if len(m.took[at]) == 0 {
			continue
		}
		for _, q := range []struct {
			name string
			rank float64
		}{{"p50", 0.50}, {"p95", 0.95}} {
			figures = append(figures, figure.Figure{
				Name:  fmt.Sprintf("unanswered: create to answer %s, %d at once, %s, against before", at, m.level.atOnce, q.name),
				Value: milliseconds(quantile(m.took[at], q.rank)), Unit: "ms", Goal: 2, Better: figure.Lower,
			}.Against(milliseconds(quantile(m.took[before], q.rank))))
		}
	}
	return figures
}
