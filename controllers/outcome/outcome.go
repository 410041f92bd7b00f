// Package outcome defines how a pass ends: it classifies errors and makes results. No other package makes a result.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
)

// awsReason returns the API's reason for a class of AWS errors.
func awsReason(class aws.Class) string {
	switch class {
	case aws.ClassAccessDenied:
		return v1alpha1.ReasonAccessDenied
	case aws.ClassThrottled:
		return v1alpha1.ReasonThrottled
	default:
		return v1alpha1.ReasonAWSError
	}
}

// First returns the first error that is not nil.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// AccessDeniedRetry is how long a pass waits after AWS denied a call. It is long enough not to fill the account's
// audit log, and short enough that the object recovers within a minute of the missing permission's grant.
const AccessDeniedRetry = 30 * time.Second

// ConflictRetry is how long a pass waits after it read a stale object.
const ConflictRetry = 20 * time.Millisecond

// TerminalError is an error that only a person can fix, in the spec or in AWS. Its reason becomes the reason of
// Stalled.
type TerminalError struct {
	Reason  string
	Message string
}

func (e *TerminalError) Error() string { return e.Message }

// WaitingError reports an ordinary wait and when to look again. A zero After means that a watch reports the end of
// the wait.
type WaitingError struct {
	Reason  string
	Message string
	After   time.Duration
}

func (e *WaitingError) Error() string { return e.Message }

// Terminalf returns a TerminalError.
func Terminalf(reason, format string, args ...any) error {
	return &TerminalError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Waitingf returns a WaitingError.
func Waitingf(reason string, after time.Duration, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}

// IsRefusal reports whether an error is a decision of this program and not a failed call.
func IsRefusal(err error) bool {
	var terminal *TerminalError
	var waiting *WaitingError
	return errors.As(err, &terminal) || errors.As(err, &waiting)
}

// Result turns the end of a pass into controller-runtime's result. No other function makes one. next is the pause until
// the next pass after success, and the longest pause while the pass waits. Zero means that only a change begins the
// next pass.
func Result(ctx context.Context, err error, next time.Duration) (ctrl.Result, error) {
	var terminal *TerminalError
	var waiting *WaitingError
	switch {
	case err == nil:
		return ctrl.Result{RequeueAfter: next}, nil
	case errors.As(err, &terminal):
		return ctrl.Result{}, reconcile.TerminalError(err)
	case errors.As(err, &waiting):
		log.FromContext(ctx).V(1).Info("Waiting", "reason", waiting.Reason, "message", waiting.Message)
		return ctrl.Result{RequeueAfter: schedule.Soonest(waiting.After, next)}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: ConflictRetry}, nil
	case aws.ClassOf(err) == aws.ClassAccessDenied:
		log.FromContext(ctx).Info("AWS denied a call; retrying", "error", err.Error(), "after", AccessDeniedRetry.String())
		return ctrl.Result{RequeueAfter: AccessDeniedRetry}, nil
	default:
		return ctrl.Result{}, err
	}
}

// Reason returns the API's reason why a pass did not succeed, and the message for it. The message is the same at each
// retry.
func Reason(err error) (reason, message string) {
	var terminal *TerminalError
	var waiting *WaitingError
	switch {
	case errors.As(err, &terminal):
		return terminal.Reason, terminal.Message
	case errors.As(err, &waiting):
		return waiting.Reason, waiting.Message
	}
	return awsReason(aws.ClassOf(err)), aws.Message(err)
}

// IsTerminal reports whether only a person can fix an error.
func IsTerminal(err error) bool {
	var terminal *TerminalError
	return errors.As(err, &terminal)
}
