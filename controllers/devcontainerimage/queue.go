package devcontainerimage

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// newQueue returns the queue of requests, whose priorities are those of priorityOf.
func (r *Reconciler) newQueue(
	name string, limiter workqueue.TypedRateLimiter[reconcile.Request],
) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return &queue{
		PriorityQueue: priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter }),
		priorityOf:    r.priorityOfCached,
	}
}

// queue gives each request that is added without a priority its own. A queue raises a request that it holds already to
// the higher of both priorities, so one way in that knows no priority would undo the others. The end of a pass states
// the priority itself: it knows the request's new status, which the cache may not show yet.
//
// A priority alone does not protect others: a pass that runs goes on, and its calls keep the API server busy. So requests
// behind the ordinary ones run in lanes. A request that waits for a place of its lane is not in the depth that
// controller-runtime measures.
type queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	priorityOf func(reconcile.Request) int

	mu    sync.Mutex // of lanes
	lanes lanes
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

// GetWithPriority returns the next request whose lane has a place for its pass.
func (q *queue) GetWithPriority() (request reconcile.Request, priority int, shutdown bool) {
	for {
		request, priority, shutdown = q.PriorityQueue.GetWithPriority()
		if shutdown || q.enter(request, priority) {
			return request, priority, shutdown
		}
		q.PriorityQueue.Done(request)
	}
}

// Get returns the next request as GetWithPriority does.
func (q *queue) Get() (request reconcile.Request, shutdown bool) {
	request, _, shutdown = q.GetWithPriority()
	return request, shutdown
}

// Done ends a pass. The next request of its lane is queued again.
func (q *queue) Done(request reconcile.Request) {
	q.mu.Lock()
	next, priority, found := q.lanes.leave(request)
	q.mu.Unlock()
	q.PriorityQueue.Done(request)
	if found {
		q.PriorityQueue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, next)
	}
}

func (q *queue) enter(request reconcile.Request, priority int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes.enter(request, priority)
}
