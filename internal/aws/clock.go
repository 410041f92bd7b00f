package aws

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"k8s.io/utils/clock"
)

// minOffset is the least difference from AWS' clock that counts. The header Date has whole seconds, and an answer
// takes a while.
const minOffset = 10 * time.Second

// serverTime knows how far AWS' clock is ahead of this machine's. It learns that from the header Date of each answer.
type serverTime struct{ ahead atomic.Int64 }

// offset returns how far AWS' clock is ahead, and zero before the first answer.
func (s *serverTime) offset() time.Duration { return time.Duration(s.ahead.Load()) }

// install reads the time of each attempt's answer, inside the SDK's retries: an answer that refuses a request because
// of its time has the right one.
func (s *serverTime) install(stack *middleware.Stack) error {
	err := stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("imagecache:ServerTime",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
			middleware.FinalizeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleFinalize(ctx, in)
			if ahead, ok := awsmiddleware.GetAttemptSkew(metadata); ok {
				s.learn(ahead)
			}
			return out, metadata, err
		}), "Retry", middleware.After)
	if err != nil {
		return fmt.Errorf("install the clock: %w", err)
	}
	return nil
}

func (s *serverTime) learn(ahead time.Duration) {
	if ahead.Abs() < minOffset {
		ahead = 0
	}
	s.ahead.Store(int64(ahead))
}

// Clock returns AWS' clock: a local one, corrected by what AWS' answers tell. Use it to compare with times of AWS, and
// for deadlines that AWS enforces. Between two readings it may jump, so don't measure with it.
func (p *Provider) Clock(local clock.PassiveClock) clock.PassiveClock {
	return correctedClock{local, &p.time}
}

type correctedClock struct {
	local clock.PassiveClock
	time  *serverTime
}

// Now has no monotonic reading: the difference of two would ignore a correction.
func (c correctedClock) Now() time.Time { return c.local.Now().Round(0).Add(c.time.offset()) }

func (c correctedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// expiryMargin is how long before AWS ends them the controller's own credentials are replaced at the latest.
const expiryMargin = 2 * time.Minute

// localExpiry translates the expiry of credentials into this machine's time. The SDK compares it with this machine's
// clock. If that is slow, the SDK would use credentials that AWS has ended.
type localExpiry struct {
	inner awssdk.CredentialsProvider
	time  *serverTime
}

// Retrieve returns credentials. It discards those of an inner cache that end soon by AWS' clock.
func (l localExpiry) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	found, err := l.inner.Retrieve(ctx)
	if err != nil {
		return found, err //nolint:wrapcheck // the SDK's own error, for the SDK
	}
	cache, isCache := l.inner.(*awssdk.CredentialsCache)
	if isCache && found.CanExpire && time.Until(found.Expires)-l.time.offset() < expiryMargin {
		cache.Invalidate()
		if found, err = l.inner.Retrieve(ctx); err != nil {
			return found, err //nolint:wrapcheck // the SDK's own error, for the SDK
		}
	}
	if found.CanExpire {
		found.Expires = found.Expires.Add(-l.time.offset())
	}
	return found, nil
}
