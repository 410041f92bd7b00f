package outcome

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Options returns the options of a controller that reconciles so many objects at once.
func Options(workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             RetryLimiter(),
		ReconciliationTimeout:   PassTimeout,
		EnableWarmup:            ptr.To(true),
	}
}

// PassTimeout limits one pass of any reconciler, AWS calls included.
const PassTimeout = time.Minute

// retryFirst and retryMost are the shortest and the longest pause after an error.
const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 30 * time.Second
)

// RetryLimiter returns a rate limiter whose pause for one object doubles after each error, within limits.
func RetryLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMost)
}
