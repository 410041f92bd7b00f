package devcontainerimage

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/watch"
)

// requestWorkers is how many requests are answered at once. They mostly wait for AWS or the API server, and
// simultaneous lookups share one call: a thousand environments of one project in one morning cost a dozen calls.
const requestWorkers = 1000

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.leases = newBuildLeases(r.Client, r.Live, r.Clock, r.BuildLease)
	r.rights = newUploadRights()
	options := outcome.Options(requestWorkers)
	options.NewQueue = r.newQueue
	err := ctrl.NewControllerManagedBy(mgr).
		Named("devcontainerimage").
		Watches(&v1alpha1.DevcontainerImage{}, r.requestHandler()).
		Watches(&v1alpha1.DevcontainerImage{}, handler.EnqueueRequestsFromMapFunc(r.waitersOfBuilder), builder.WithPredicates(watch.BuilderEnded())).
		Watches(&v1alpha1.ProjectImageCache{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfProject)).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfRunner), builder.WithPredicates(watch.ConcernsProjects())).
		Watches(&coordinationv1.Lease{}, r.leaseHandler()).
		WithOptions(options).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for DevcontainerImage: %w", err)
	}
	return nil
}

// requestHandler queues the requests that have something left to do. A finished request waits, without a pass, for the
// time of its removal.
func (r *Reconciler) requestHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			image := e.Object.(*v1alpha1.DevcontainerImage)
			// Without a priority, controller-runtime gives whatever a starting manager finds the lowest.
			options := priorityqueue.AddOpts{Priority: ptr.To(r.priorityOf(image))}
			if indexes.IsAtRest(image) {
				options.After = max(dueAt(image).Sub(r.Clock.Now()), 0)
			}
			q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(options, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(image)})
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			changed := e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
			deleted := e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
			if changed || deleted {
				q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.ObjectNew)})
			}
		},
	}
}

// waitersOfBuilder returns the unfinished requests of a builder's hash.
func (r *Reconciler) waitersOfBuilder(ctx context.Context, object client.Object) []reconcile.Request {
	return r.unfinished(ctx, object, indexes.OpenHash, object.(*v1alpha1.DevcontainerImage).Status.ConfigHash)
}

// requestsOfProject returns the unfinished requests of a project.
func (r *Reconciler) requestsOfProject(ctx context.Context, object client.Object) []reconcile.Request {
	return r.unfinished(ctx, object, indexes.OpenProject, object.GetName())
}

// requestsOfRunner returns the unfinished requests of a runner's projects.
func (r *Reconciler) requestsOfRunner(ctx context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, project := range watch.ProjectsOfRunner(ctx, r.Client, object) {
		requests = append(requests, r.unfinished(ctx, object, indexes.OpenProject, project.Name)...)
	}
	return requests
}

// unfinished returns the requests that an index of unfinished requests holds under a value, in the namespace of the
// object whose change wakes them.
func (r *Reconciler) unfinished(ctx context.Context, changed client.Object, index, value string) []reconcile.Request {
	if value == "" {
		return nil
	}
	return watch.Wake(ctx, r.Client, &v1alpha1.DevcontainerImageList{}, changed,
		client.InNamespace(changed.GetNamespace()), client.MatchingFields{index: value})
}

// leaseHandler records when each build lease was renewed, and queues the requests that the end of a lease concerns. A
// renewal queues nothing.
func (r *Reconciler) leaseHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	wake := func(ctx context.Context, lease *coordinationv1.Lease, q queue) {
		for _, request := range r.unfinished(ctx, lease, indexes.OpenHash, lease.Annotations[annotationHash]) {
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
