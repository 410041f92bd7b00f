package outcome

import (
	"context"
	"errors"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

// invalidRetry is how long a pass waits after AWS rejected a call as invalid. A change in the account, such as of a
// quota or a key, may still make the call valid.
const invalidRetry = 5 * time.Minute

// Settled is the result of a pass whose status is written. Problems of a runner or a project are often fixed in AWS
// and not in the spec, so a pass is repeated after next even if only a person can help.
func Settled(ctx context.Context, err error, next time.Duration) (ctrl.Result, error) {
	var terminal *TerminalError
	if errors.As(err, &terminal) {
		return Result(ctx, nil, next)
	}
	return Result(ctx, Paced(err), next)
}

// Paced turns into waits the errors whose retry must not come soon: calls that AWS throttled, and calls that AWS
// rejects until something in the account changes. It returns every other error as it is.
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
