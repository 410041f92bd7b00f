package devcontainerimage

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
)

// Priorities of requests. Those of a higher priority have their passes first.
const (
	// ordinary is the priority of requests that an environment waits for.
	ordinary = 0
	// inCrowd is the priority of those beyond the first census.CrowdSize of a namespace.
	inCrowd = -50
	// behind is the priority of requests that no environment waits for.
	behind = -100
)

// priorityOf returns the priority of a request. Every way into the queue uses it. A starting manager thus answers new
// requests first, even if it finds them among a hundred thousand finished ones, and nothing that wakes a crowd moves
// it ahead of the requests of other namespaces.
func (r *Reconciler) priorityOf(image *v1alpha1.DevcontainerImage) int {
	switch {
	case !indexes.IsOpen(image) && !controllerutil.ContainsFinalizer(image, v1alpha1.Finalizer): // it holds no lease
		return behind
	case r.Census.InCrowd(image):
		return inCrowd
	}
	return ordinary
}

// newQueue returns the queue of requests, whose priorities are those of priorityOf.
func (r *Reconciler) newQueue(
	name string, limiter workqueue.TypedRateLimiter[reconcile.Request],
) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return &queue{
		PriorityQueue: priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter }),
		priorityOf:    r.priorityOfCached,
	}
}

// priorityOfCached returns the priority of a request as the cache shows it.
func (r *Reconciler) priorityOfCached(request reconcile.Request) int {
	image := &v1alpha1.DevcontainerImage{}
	err := r.Client.Get(context.Background(), request.NamespacedName, image, &client.GetOptions{UnsafeDisableDeepCopy: ptr.To(true)})
	if err != nil {
		return behind // it was removed
	}
	return r.priorityOf(image)
}

// queue gives each request that is added without a priority its own. A queue raises a request that it holds already to
// the higher of both priorities, so one way in that knows no priority would undo the others. The end of a pass states
// the priority itself: it knows the request's new status, which the cache may not show yet.
type queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	priorityOf func(reconcile.Request) int
}

func (q *queue) Add(request reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, request) }

func (q *queue) AddAfter(request reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, request)
}

func (q *queue) AddRateLimited(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, request)
}

func (q *queue) AddWithOpts(options priorityqueue.AddOpts, requests ...reconcile.Request) {
	if options.Priority != nil {
		q.PriorityQueue.AddWithOpts(options, requests...)
		return
	}
	for _, request := range requests {
		options.Priority = ptr.To(q.priorityOf(request))
		q.PriorityQueue.AddWithOpts(options, request)
	}
}
