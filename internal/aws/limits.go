package aws

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

const (
	// maxTurnWait is how long a call waits for its turn. If its turn is later, the call returns a LaterError, so that
	// no worker waits while other work could be done.
	maxTurnWait = time.Second
	// throttledRetry is when to retry a call that AWS throttled at each of its attempts.
	throttledRetry = 5 * time.Second
	// rateWindow is the time over which the rate of accepted calls is measured.
	rateWindow = time.Second
	// throttledShare is the share of its rate that an operation keeps when AWS throttles it.
	throttledShare = 0.85
	// searchGrowth and growth are the shares by which a limited rate grows in each second without throttling. It
	// grows fast until AWS throttles a second time, because the first time tells little about the accepted rate.
	searchGrowth, growth = 1.0, 0.04
	// maxAway is the longest time after which a caller asks again. The rate may have grown by then.
	maxAway = 5 * time.Second
	// slowest and fastest are the bounds of a limited rate, in calls a second. A rate that grows above fastest
	// becomes unlimited.
	slowest, fastest = 0.5, 2000
)

// LaterError reports that a call was not made, because AWS limits its operation and earlier callers go first.
type LaterError struct {
	Operation string        // such as ecr CreateRepository
	After     time.Duration // when this caller's turn comes
}

func (e *LaterError) Error() string {
	return e.Operation + ": waiting for a turn, because AWS limits how often this operation may be called"
}

// RetryableError tells the SDK not to retry the call.
func (e *LaterError) RetryableError() bool { return false }

// limits holds a rate limit for each operation of a target. AWS counts calls by account, region and operation, so
// throttling of one operation tells nothing about another.
type limits struct {
	mu         sync.Mutex
	operations map[string]*limit
}

func newLimits() *limits { return &limits{operations: map[string]*limit{}} }

func (l *limits) of(operation string) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.operations[operation]
	if !ok {
		found = &limit{}
		l.operations[operation] = found
	}
	return found
}

// install adds the limit to each attempt, inside the SDK's retries.
func (l *limits) install(stack *middleware.Stack) error {
	err := stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("imagecache:RateLimit",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
			middleware.FinalizeOutput, middleware.Metadata, error,
		) {
			operation := operationOf(ctx)
			limit := l.of(operation)
			if err := limit.wait(ctx, operation); err != nil {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, err
			}
			out, metadata, err := next.HandleFinalize(ctx, in)
			limit.learn(time.Now(), isThrottle(err))
			return out, metadata, err
		}), "Retry", middleware.After)
	if err != nil {
		return fmt.Errorf("install the rate limit: %w", err)
	}
	return nil
}

func operationOf(ctx context.Context) string {
	return strings.ToLower(awsmiddleware.GetServiceID(ctx)) + " " + awsmiddleware.GetOperationName(ctx)
}

func isThrottle(err error) bool {
	_, ok := throttleCodes[Code(err)]
	return ok
}

// limit spaces the calls of one operation. It lets all calls pass until AWS throttles the operation for the first
// time. From then on it stays a little below the rate that AWS accepted, and grows slowly.
type limit struct {
	mu sync.Mutex
	// rate is in calls a second; zero means no limit. searching means that it grows fast.
	rate      float64
	searching bool
	// next is when the next call may start. promised is the turn of the last caller that was sent away.
	next, promised time.Time
	// cut is when the rate was last lowered, and grown when it was last raised.
	cut, grown time.Time
	// passed counts the calls that AWS accepted since windowStart. last is the rate of the previous window.
	passed      int
	windowStart time.Time
	last        float64
}

// wait blocks until the caller's turn, or returns a LaterError.
func (l *limit) wait(ctx context.Context, operation string) error {
	pause, ok := l.take(time.Now())
	if !ok {
		return &LaterError{Operation: operation, After: pause}
	}
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn: %w", ctx.Err())
	}
}

// take returns the pause until the caller's turn, or, if ok is false, the time after which to ask again. Each caller
// that is sent away gets a time of its own, so that they don't return together.
func (l *limit) take(now time.Time) (pause time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return 0, true
	}
	interval := time.Duration(float64(time.Second) / l.rate)
	if l.next.Before(now) {
		l.next = now
	}
	if pause = l.next.Sub(now); pause <= maxTurnWait {
		l.next = l.next.Add(interval)
		return pause, true
	}
	if l.promised.Before(l.next) || l.promised.Sub(now) > maxAway {
		l.promised = l.next
	}
	l.promised = l.promised.Add(interval)
	return l.promised.Sub(now), false
}

// learn adapts the rate to AWS' answer to a call.
func (l *limit) learn(now time.Time, throttled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !throttled {
		l.count(now)
		l.grow(now)
		return
	}
	// Answers to concurrent calls count as one warning.
	if now.Sub(l.cut) < rateWindow {
		return
	}
	seen := l.seen(now)
	l.searching = l.rate == 0
	if l.rate != 0 {
		seen = min(l.rate, max(seen, l.rate/2))
	}
	l.rate = math.Max(seen*throttledShare, slowest)
	l.cut, l.grown = now, now
	l.next = now.Add(time.Duration(float64(time.Second) / l.rate))
}

func (l *limit) count(now time.Time) {
	if elapsed := now.Sub(l.windowStart); elapsed >= rateWindow {
		l.last = float64(l.passed) / elapsed.Seconds()
		l.passed, l.windowStart = 0, now
	}
	l.passed++
}

// seen returns the rate that AWS accepts, as far as it is known.
func (l *limit) seen(now time.Time) float64 {
	elapsed := max(now.Sub(l.windowStart), rateWindow)
	return math.Max(l.last, float64(l.passed)/elapsed.Seconds())
}

func (l *limit) grow(now time.Time) {
	elapsed := now.Sub(l.grown)
	if l.rate == 0 || elapsed < rateWindow {
		return
	}
	l.grown = now
	by := growth
	if l.searching {
		by = searchGrowth
	}
	l.rate *= 1 + by*math.Min(elapsed.Seconds(), 60)
	if l.rate > fastest {
		l.rate, l.searching = 0, false
	}
}
