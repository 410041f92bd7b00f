package aws

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// bucket is AWS' side: a token bucket with a rate and a depth.
type bucket struct {
	rate, depth, tokens float64
	at                  time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.tokens = min(b.depth, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// crowd is how callers that share one operation fare, in simulated time.
type crowd struct {
	took    time.Duration
	refused int
}

// simulate lets callers make one call each. One call in twenty reaches AWS up to late after its turn, if there is chance.
func simulate(t *testing.T, calls int, aws *bucket, late time.Duration, random *rand.Rand) crowd {
	t.Helper()
	const workers = 32
	start := time.Unix(1_700_000_000, 0)
	now, l := start, &limit{}
	aws.at, aws.tokens = now, aws.depth
	// due holds when each caller that is not done comes back.
	due := make([]time.Time, calls)
	for n := range due {
		due[n] = now
	}
	done, refused := 0, 0
	for done < calls {
		now = now.Add(5 * time.Millisecond)
		busy := 0
		for n := range due {
			if due[n].IsZero() || due[n].After(now) || busy == workers {
				continue
			}
			busy++
			pause, ok := l.take(now)
			if !ok {
				due[n] = now.Add(pause)
				continue
			}
			// The caller waits in place; its turn is at pause from now, and AWS sees it then, or a little later.
			at := now.Add(pause)
			if random != nil && random.IntN(20) == 0 {
				at = at.Add(time.Duration(random.Int64N(int64(late))))
			}
			if aws.take(maxTime(at, aws.at)) {
				l.learn(at, false)
				due[n], done = time.Time{}, done+1
				continue
			}
			refused++
			l.learn(at, true)
			due[n] = at.Add(100 * time.Millisecond)
		}
		if now.Sub(start) > 10*time.Minute {
			t.Fatalf("%d of %d calls are done after ten minutes", done, calls)
		}
	}
	return crowd{took: now.Sub(start), refused: refused}
}

// A thousand callers share one operation that AWS lets through ten times a second: the limit finds the rate by itself,
// loses little of it, and hardly ever asks in vain.
func TestLimitLearnsTheRateThatAWSLetsThrough(t *testing.T) {
	const calls, rate = 1000, 10.0
	got := simulate(t, calls, &bucket{rate: rate, depth: rate}, 0, nil)
	if ideal := calls / rate; got.took.Seconds() > 1.3*ideal {
		t.Errorf("took %.0f s, more than 1.3 times the %.0f s that AWS allows", got.took.Seconds(), ideal)
	}
	if got.refused > calls/5 {
		t.Errorf("AWS refused %d calls for %d that it took", got.refused, calls)
	}
	t.Logf("took %s, refused %d", got.took, got.refused)
}

// Sixty callers meet a bucket without depth on a machine that is late at times: refusals that tell nothing about the rate
// cost little time.
func TestLimitRecoversFromRefusalsThatTellNothing(t *testing.T) {
	const calls, rate = 60, 10.0
	var took []time.Duration
	for seed := range uint64(200) {
		got := simulate(t, calls, &bucket{rate: rate, depth: 1}, 200*time.Millisecond, rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // a simulation that can be repeated
		took = append(took, got.took)
	}
	slices.Sort(took)
	t.Logf("median %s, 99 of 100 within %s, longest %s", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if ideal := calls / rate * float64(time.Second); float64(took[len(took)/2]) > 2*ideal || float64(took[len(took)*99/100]) > 3.5*ideal {
		t.Errorf("half of the crowds take more than twice what AWS allows, or one in a hundred more than 3.5 times")
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func TestLimitLetsEverythingThroughUntilAWSThrottles(t *testing.T) {
	l, now := &limit{}, time.Unix(1_700_000_000, 0)
	for range 10_000 {
		if pause, ok := l.take(now); !ok || pause != 0 {
			t.Fatalf("a call waits %s (%v) although nothing was throttled", pause, ok)
		}
		l.learn(now, false)
	}
}

func TestCallersThatAreSentAwayComeBackOneByOneAndSoon(t *testing.T) {
	l, now := &limit{rate: 20}, time.Unix(1_700_000_000, 0)
	seen := map[time.Duration]bool{}
	sent := 0
	for range 100 {
		pause, ok := l.take(now)
		if ok {
			continue
		}
		sent++
		if seen[pause] {
			t.Errorf("two callers are told to come back after %s", pause)
		}
		if pause > maxAway+maxTurnWait {
			t.Errorf("a caller is told to come back after %s, when the rate may long be another", pause)
		}
		seen[pause] = true
	}
	if sent < 75 {
		t.Errorf("%d of 100 callers were sent away, want nearly all but those of the first second", sent)
	}
}

func TestLimitIsLiftedAfterALongTimeWithoutThrottling(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := &limit{}
	for range 20 {
		l.learn(now, false)
	}
	l.learn(now, true)
	if l.rate == 0 {
		t.Fatal("throttling set no rate")
	}
	for range 3600 {
		now = now.Add(time.Second)
		l.learn(now, false)
	}
	if l.rate != 0 {
		t.Errorf("after an hour without throttling the rate is still %.1f", l.rate)
	}
}
