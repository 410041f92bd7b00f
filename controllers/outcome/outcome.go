// Package outcome says how a pass ends: it classifies errors and makes results. Nothing else makes a result.
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

// awsReason is the API's reason for a class of AWS errors.
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

func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// AccessDeniedRetry is how long a pass waits after AWS denied it a call: long enough not to fill the account's audit
// log, short enough that a permission that arrives heals the object within a minute.
const AccessDeniedRetry = 30 * time.Second

// ConflictRetry is how long a pass waits after it read the object stale.
const ConflictRetry = 20 * time.Millisecond

// TerminalError is an error that only a change of the spec can cure. Its reason becomes the reason of Stalled.
type TerminalError struct {
	Reason  string
	Message string
}

func (e *TerminalError) Error() string { return e.Message }

// WaitingError says that something ordinary is not there yet and when to look again. A zero After means that a watch
// will tell.
type WaitingError struct {
	Reason  string
	Message string
	After   time.Duration
}

func (e *WaitingError) Error() string { return e.Message }

// Terminalf makes a TerminalError.
func Terminalf(reason, format string, args ...any) error {
	return &TerminalError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Waitingf makes a WaitingError.
func Waitingf(reason string, after time.Duration, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}

// IsRefusal says whether an error is a decision of the program's own, and not of a call that failed.
func IsRefusal(err error) bool {
	var terminal *TerminalError
	var waiting *WaitingError
	return errors.As(err, &terminal) || errors.As(err, &waiting)
}

// Result turns what a pass ended with into controller-runtime's result, and is the only place that does. next is when
// to look again after success, or at the latest while something is waited for; zero means not before something changes.
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
		log.FromContext(ctx).Info("AWS denied a call; trying again", "error", err.Error(), "after", AccessDeniedRetry.String())
		return ctrl.Result{RequeueAfter: AccessDeniedRetry}, nil
	default:
		return ctrl.Result{}, err
	}
}

// Reason says why a pass did not get through, in the API's words, and the sentence for it: stable from try to try.
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

// IsTerminal says whether an error is one that only a person can help with.
func IsTerminal(err error) bool {
	var terminal *TerminalError
	return errors.As(err, &terminal)
}
