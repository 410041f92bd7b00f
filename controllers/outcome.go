package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/internal/aws"
)

// accessDeniedRetry is how long a pass waits after AWS denied it a call: long enough not to fill the account's audit
// log, short enough that a permission that arrives heals the object within a minute.
const accessDeniedRetry = 30 * time.Second

// conflictRetry is how long a pass waits after it read the object stale.
const conflictRetry = 20 * time.Millisecond

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

// terminalf makes a TerminalError.
func terminalf(reason, format string, args ...any) error {
	return &TerminalError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// waitingf makes a WaitingError.
func waitingf(reason string, after time.Duration, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}

// isRefusal says whether an error is a decision of the program's own, and not of a call that failed.
func isRefusal(err error) bool {
	var terminal *TerminalError
	var waiting *WaitingError
	return errors.As(err, &terminal) || errors.As(err, &waiting)
}

// outcome turns what a pass ended with into controller-runtime's result, and is the only place that does. next is when
// to look again after success, or at the latest while something is waited for; zero means not before something changes.
func outcome(ctx context.Context, err error, next time.Duration) (ctrl.Result, error) {
	var terminal *TerminalError
	var waiting *WaitingError
	switch {
	case err == nil:
		return ctrl.Result{RequeueAfter: next}, nil
	case errors.As(err, &terminal):
		return ctrl.Result{}, reconcile.TerminalError(err)
	case errors.As(err, &waiting):
		log.FromContext(ctx).V(1).Info("Waiting", "reason", waiting.Reason, "message", waiting.Message)
		return ctrl.Result{RequeueAfter: soonest(waiting.After, next)}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case aws.ClassOf(err) == aws.ClassAccessDenied:
		log.FromContext(ctx).Info("AWS denied a call; trying again", "error", err.Error(), "after", accessDeniedRetry.String())
		return ctrl.Result{RequeueAfter: accessDeniedRetry}, nil
	default:
		return ctrl.Result{}, err
	}
}

// reasonOf says why a pass did not get through, in the API's words, and the sentence for it: stable from try to try.
func reasonOf(err error) (reason, message string) {
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
