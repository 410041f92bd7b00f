package outcome

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// PassTimeout bounds one pass of any reconciler, calls to AWS included.
const PassTimeout = time.Minute

// retryFirst and retryMost bound the pause after an error.
const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 30 * time.Second
)

// RetryLimiter returns the pauses after errors of one object: doubling, from 50 ms to 30 s.
func RetryLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMost)
}
