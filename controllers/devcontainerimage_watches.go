package controllers

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
)

// Limits of a reconciler's queue.
const (
	// requestWorkers is how many requests are answered at once. They mostly wait, for AWS or the API server, and those
	// that look up together share one call: a morning's thousand environments of one project cost a dozen.
	requestWorkers = 1000
	// passTimeout bounds one pass, calls to AWS included.
	passTimeout = time.Minute
	// retryFirst and retryMost bound the pause after an error.
	retryFirst = 50 * time.Millisecond
	retryMost  = 30 * time.Second
)

// retryLimiter is the pause of one object after an error: doubling, within bounds.
func retryLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMost)
}

// SetupWithManager registers the reconciler and what wakes it.
func (r *DevcontainerImageReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.leases, r.writes = newBuildLeases(r.Client, r.Live, r.Clock, r.BuildLease), newOwnWrites(r.Clock)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("devcontainerimage").
		Watches(&v1alpha1.DevcontainerImage{}, r.requestHandler()).
		Watches(&v1alpha1.DevcontainerImage{}, handler.EnqueueRequestsFromMapFunc(r.waitersOfBuilder), builder.WithPredicates(builderEnded())).
		Watches(&v1alpha1.ProjectImageCache{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfProject)).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfRunner), builder.WithPredicates(concernsProjects())).
		Watches(&coordinationv1.Lease{}, r.leaseHandler()).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: requestWorkers,
			RateLimiter:             retryLimiter(),
			ReconciliationTimeout:   passTimeout,
			EnableWarmup:            ptr.To(true),
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for DevcontainerImage: %w", err)
	}
	return nil
}

// behind is the priority of what nobody waits for; requests that are answered have 0.
const behind = -100

// requestHandler wakes requests to which something is left to do: new ones at once, even if a manager that starts finds
// them among a hundred thousand that are finished. Of those each waits, without a pass, for the time of its removal.
func (r *DevcontainerImageReconciler) requestHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	add := func(q queue, object client.Object, options priorityqueue.AddOpts) {
		// The default queue of controller-runtime is one with priorities.
		q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(options, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			image, options := e.Object.(*v1alpha1.DevcontainerImage), priorityqueue.AddOpts{Priority: ptr.To(0)}
			if !isOpen(image) {
				options.Priority = ptr.To(behind)
			}
			if isAtRest(image) {
				options.After = max(dueAt(image).Sub(r.Clock.Now()), 0)
			}
			add(q, image, options)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			changed := e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
			deleted := e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
			if changed || deleted {
				add(q, e.ObjectNew, priorityqueue.AddOpts{Priority: ptr.To(0)})
			}
		},
	}
}

// builderEnded passes the update with which a builder's request ends, and its removal.
func builderEnded() predicate.Predicate {
	isBuilder := func(o client.Object) bool { return o.(*v1alpha1.DevcontainerImage).Status.Role == v1alpha1.RoleBuilder }
	finished := func(o client.Object) bool { return o.(*v1alpha1.DevcontainerImage).Status.FinishedAt != nil }
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(e event.DeleteEvent) bool { return isBuilder(e.Object) },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return isBuilder(e.ObjectNew) && finished(e.ObjectNew) && !finished(e.ObjectOld)
		},
	}
}

// waitersOfBuilder are the unfinished requests of a builder's hash.
func (r *DevcontainerImageReconciler) waitersOfBuilder(ctx context.Context, object client.Object) []reconcile.Request {
	return r.unfinished(ctx, object.GetNamespace(), indexOpenHash, object.(*v1alpha1.DevcontainerImage).Status.ConfigHash)
}

// requestsOfProject are the unfinished requests of a project.
func (r *DevcontainerImageReconciler) requestsOfProject(ctx context.Context, object client.Object) []reconcile.Request {
	return r.unfinished(ctx, object.GetNamespace(), indexOpenProject, object.GetName())
}

// requestsOfRunner are the unfinished requests of a runner's projects.
func (r *DevcontainerImageReconciler) requestsOfRunner(ctx context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, project := range projectsOfRunner(ctx, r.Client, object) {
		requests = append(requests, r.unfinished(ctx, project.Namespace, indexOpenProject, project.Name)...)
	}
	return requests
}

// unfinished are the requests that an index of unfinished ones holds under a value.
func (r *DevcontainerImageReconciler) unfinished(ctx context.Context, namespace, index, value string) []reconcile.Request {
	if value == "" {
		return nil
	}
	images, err := listRequests(ctx, r.Client, namespace, index, value)
	if err != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, len(images))
	for i := range images {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&images[i])})
	}
	return requests
}

// leaseHandler notes when each build lease was renewed, and wakes those whom a lease's end concerns. A renewal wakes
// nobody.
func (r *DevcontainerImageReconciler) leaseHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	wake := func(ctx context.Context, lease *coordinationv1.Lease, q queue) {
		for _, request := range r.unfinished(ctx, lease.Namespace, indexOpenHash, lease.Annotations[annotationHash]) {
			q.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ queue) {
			if lease, ok := e.Object.(*coordinationv1.Lease); ok && isBuildLease(lease) {
				r.leases.note(lease)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			lease, ok := e.ObjectNew.(*coordinationv1.Lease)
			if !ok || !isBuildLease(lease) {
				return
			}
			r.leases.note(lease)
			if before, ok := e.ObjectOld.(*coordinationv1.Lease); ok && holderName(before) != holderName(lease) {
				q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: before.Namespace, Name: holderName(before)}})
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			if lease, ok := e.Object.(*coordinationv1.Lease); ok && isBuildLease(lease) {
				r.leases.forget(lease)
				wake(ctx, lease, q)
			}
		},
	}
}

func isBuildLease(lease *coordinationv1.Lease) bool {
	return lease.Annotations[annotationHash] != ""
}
