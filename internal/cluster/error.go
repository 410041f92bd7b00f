package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// UnreachableError reports that the cluster can't be used: it does not answer, denies access, or lacks the API.
type UnreachableError struct {
	Message string
	Err     error
}

func (e *UnreachableError) Error() string { return e.Message }
func (e *UnreachableError) Unwrap() error { return e.Err }

// IsAbsent reports whether an object does not exist, and not its whole API.
func IsAbsent(err error) bool {
	return apierrors.IsNotFound(err) && !apiMissing(err)
}

// apiMissing reports whether the API server does not know the resource.
func apiMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}

// Describe describes a problem between this program and the cluster in a sentence, as an UnreachableError. It returns
// other errors, also nil, unchanged.
func Describe(err error) error {
	var address *url.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case apiMissing(err):
		return &UnreachableError{
			"the cluster does not have the API imagecache.dev/v1alpha1; install the controller first", err,
		}
	case apierrors.IsUnauthorized(err):
		return &UnreachableError{
			"the cluster does not accept these credentials; log in again, or choose others with --kubeconfig, --context or --token",
			err,
		}
	case apierrors.IsForbidden(err):
		return &UnreachableError{fmt.Sprintf("the cluster does not allow this: %v", err), err}
	case errors.As(err, &address):
		host := address.URL
		if parsed, parseErr := url.Parse(address.URL); parseErr == nil && parsed.Host != "" {
			host = parsed.Scheme + "://" + parsed.Host
		}
		return &UnreachableError{fmt.Sprintf("can't reach the cluster at %s: %s", host, rootCause(address.Err)), err}
	case errors.Is(err, context.DeadlineExceeded), isNetwork(err):
		return &UnreachableError{fmt.Sprintf("can't reach the cluster: %s", rootCause(err)), err}
	}
	return err
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}

// rootCause returns the text of the innermost error, which is the operating system's.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
