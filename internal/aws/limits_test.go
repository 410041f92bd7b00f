package aws

import (
	"testing"
	"time"
)

// bucket is AWS' side: a token bucket of a rate and as many tokens.
type bucket struct {
	rate, tokens float64
	at           time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.tokens = min(b.rate, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// A thousand callers share one operation that AWS lets through ten times a second: the limit finds the rate by itself,
// loses little of it, and hardly ever asks in vain.
func TestLimitLearnsTheRateThatAWSLetsThrough(t *testing.T) {
	const calls, rate, workers = 1000, 10.0, 32
	start := time.Unix(1_700_000_000, 0)
	now := start
	aws, l := &bucket{rate: rate, tokens: rate, at: now}, &limit{}
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
			switch {
			case !ok:
				due[n] = now.Add(pause)
				continue
			case pause > 0:
				// The caller waits in place; its turn is at pause from now, and AWS sees it then.
				due[n] = now.Add(pause)
			}
			at := now.Add(max(pause, 0))
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
	if took, ideal := now.Sub(start).Seconds(), calls/rate; took > 1.3*ideal {
		t.Errorf("took %.0f s, more than 1.3 times the %.0f s that AWS allows", took, ideal)
	}
	if refused > calls/5 {
		t.Errorf("AWS refused %d calls for %d that it took", refused, calls)
	}
	t.Logf("took %.1f s, refused %d", now.Sub(start).Seconds(), refused)
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
