package outcome

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

// invalidRetry is how long a pass waits after AWS said that it never takes what it was sent: something in the account,
// such as a quota or a key, may still change that.
const invalidRetry = 5 * time.Minute

// Settled is Result for a pass whose status is written. People often correct a runner or a project in AWS and not in the
// spec, so after a terminal error too it looks again, after next.
func Settled(ctx context.Context, err error, next time.Duration) (ctrl.Result, error) {
	var terminal *TerminalError
	if errors.As(err, &terminal) {
		return Result(ctx, nil, next)
	}
	return Result(ctx, Paced(err), next)
}

// Paced turns errors that tell when to retry into ordinary waits. It returns all other errors as they are.
func Paced(err error) error {
	var waiting *WaitingError
	if err == nil || errors.As(err, &waiting) {
		return err
	}
	switch {
	case aws.ClassOf(err) == aws.ClassThrottled:
		return Waitingf(v1alpha1.ReasonThrottled, aws.RetryAfter(err), "%s", aws.Message(err))
	case aws.ClassOf(err) == aws.ClassInvalid, aws.Code(err) == "LimitExceededException", aws.Code(err) == "LimitExceeded":
		return Waitingf(v1alpha1.ReasonAWSError, invalidRetry, "%s", aws.Message(err))
	}
	return err
}
