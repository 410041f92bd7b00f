package pullcredentials

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/watch"
)

// pullWorkers is how many projects get credentials at once. Environments wait for them.
const pullWorkers = 32

// SetupWithManager registers the reconciler and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.granted, r.lost, r.asked = map[types.UID]grantedPull{}, map[types.UID]bool{}, map[types.NamespacedName]time.Time{}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("pullcredentials").
		For(&v1alpha1.ProjectImageCache{}, builder.WithPredicates(concernsPulls())).
		Watches(&v1alpha1.DevcontainerImage{}, handler.EnqueueRequestsFromMapFunc(watch.ProjectOfRequest), builder.WithPredicates(r.asks())).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(watch.ToProjectsOfRunner(r.Client)), builder.WithPredicates(concernsGrants())).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.projectOfLostSecret), builder.WithPredicates(watch.RemovedOnly())).
		WithOptions(outcome.Options(pullWorkers)).
		Complete(persist.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for pull credentials: %w", err)
	}
	return nil
}

// asks passes requests that are, or have become, a reason to have pull credentials.
func (r *Reconciler) asks() predicate.Predicate {
	begins := func(before, after client.Object) bool {
		request, now := after.(*v1alpha1.DevcontainerImage), r.Clock.Now()
		if !asksForPull(request, now) || before != nil && asksForPull(before.(*v1alpha1.DevcontainerImage), now) {
			return false
		}
		r.noteAsked(request)
		return true
	}
	return predicate.Funcs{
		CreateFunc:  func(e event.CreateEvent) bool { return begins(nil, e.Object) },
		UpdateFunc:  func(e event.UpdateEvent) bool { return begins(e.ObjectOld, e.ObjectNew) },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// concernsPulls passes the changes of a project that its pull credentials depend on.
func concernsPulls() predicate.Predicate {
	return predicate.Funcs{
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.ProjectImageCache), e.ObjectNew.(*v1alpha1.ProjectImageCache)
			return !equality.Semantic.DeepEqual(before.Status.Repository, after.Status.Repository) ||
				before.Annotations[v1alpha1.AnnotationPullRequestedAt] != after.Annotations[v1alpha1.AnnotationPullRequestedAt] ||
				before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
		},
	}
}

// concernsGrants passes the changes of a runner that grants depend on.
func concernsGrants() predicate.Predicate {
	depends := func(runner *v1alpha1.RunnerImageCache) []any {
		return append(watch.Followed(runner), meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionRolesReady))
	}
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !equality.Semantic.DeepEqual(depends(e.ObjectOld.(*v1alpha1.RunnerImageCache)), depends(e.ObjectNew.(*v1alpha1.RunnerImageCache)))
		},
	}
}

// projectOfLostSecret returns the project whose pull Secret was removed and which needs another.
func (r *Reconciler) projectOfLostSecret(_ context.Context, object client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != "ProjectImageCache" || object.GetLabels()[v1alpha1.LabelCredentials] != v1alpha1.CredentialsPull {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[owner.UID] = true
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name}}}
}
