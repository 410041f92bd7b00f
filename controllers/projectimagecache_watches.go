package controllers

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

// projectWorkers is how many projects are worked on at once; they mostly wait for AWS.
const projectWorkers = 32

// SetupWithManager registers the reconciler, what wakes it, and the watch for drift.
func (r *ProjectImageCacheReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.writes = newOwnWrites(r.Clock)
	r.sweeps, r.counted, r.drifted = map[types.UID]time.Time{}, map[types.UID]*v1alpha1.ImageStatistics{}, map[types.UID][]finding{}
	wake := make(chan event.TypedGenericEvent[*v1alpha1.ProjectImageCache])
	err := ctrl.NewControllerManagedBy(mgr).
		Named("projectimagecache").
		For(&v1alpha1.ProjectImageCache{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, abandoned(), deletionStarted()))).
		Watches(&v1alpha1.RunnerImageCache{}, handler.EnqueueRequestsFromMapFunc(toProjectsOfRunner(r.Client)), builder.WithPredicates(concernsProjects())).
		Watches(&v1alpha1.DevcontainerImage{}, handler.EnqueueRequestsFromMapFunc(projectOfRequest), builder.WithPredicates(builderEnded())).
		WatchesRawSource(source.Channel(wake, &handler.TypedEnqueueRequestForObject[*v1alpha1.ProjectImageCache]{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: projectWorkers,
			RateLimiter:             retryLimiter(),
			ReconciliationTimeout:   passTimeout,
			EnableWarmup:            ptr.To(true),
		}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
	if err != nil {
		return fmt.Errorf("set up controller for ProjectImageCache: %w", err)
	}
	if err := mgr.Add(&driftWatch{reconciler: r, wake: wake, blind: map[aws.Target]bool{}}); err != nil {
		return fmt.Errorf("set up the watch for drift: %w", err)
	}
	return nil
}

// projectsOfRunner are all projects that name a runner.
func projectsOfRunner(ctx context.Context, reader client.Reader, runner client.Object) []reconcile.Request {
	var list v1alpha1.ProjectImageCacheList
	err := reader.List(ctx, &list, client.InNamespace(runner.GetNamespace()),
		client.MatchingFields{indexProjectRunner: runner.GetName()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for n := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[n])})
	}
	return requests
}

// toProjectsOfRunner is projectsOfRunner as what a watch of runners maps with.
func toProjectsOfRunner(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, runner client.Object) []reconcile.Request {
		return projectsOfRunner(ctx, reader, runner)
	}
}

func projectOfRequest(_ context.Context, object client.Object) []reconcile.Request {
	ref := object.(*v1alpha1.DevcontainerImage).Spec.ProjectRef
	if ref == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: ref.Name}}}
}

// concernsProjects passes changes of a runner that its projects follow. That the runner counts its projects, or looked
// at its stack and found it unchanged, wakes nobody.
func concernsProjects() predicate.Predicate {
	return predicate.Funcs{
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.RunnerImageCache), e.ObjectNew.(*v1alpha1.RunnerImageCache)
			return !reflect.DeepEqual(followed(before), followed(after))
		},
	}
}

// followed is what projects follow of a runner.
func followed(runner *v1alpha1.RunnerImageCache) []any {
	status := runner.Status
	conditions := map[string]string{}
	for _, condition := range status.Conditions {
		if condition.Type == v1alpha1.ConditionAccountReady || condition.Type == v1alpha1.ConditionStalled {
			conditions[condition.Type] = string(condition.Status) + condition.Reason
		}
	}
	return []any{
		runner.Spec, status.ObservedGeneration == runner.Generation, status.AccountID, status.ControllerARN, status.PullRoleARN, status.StackTags,
		status.StackTagsReadAt == nil, conditions,
	}
}

// deletionStarted passes the update that marks an object as being deleted, which changes no generation of objects whose
// spec stays.
func deletionStarted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
	}
}

// abandoned passes the update with which a person lets go of an object.
func abandoned() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			_, before := e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationAbandon]
			_, after := e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationAbandon]
			return before != after
		},
	}
}

// pullSecretName is the Secret that a project's environments pull with.
func pullSecretName(project *v1alpha1.ProjectImageCache) string { return project.Name + "-pull" }
