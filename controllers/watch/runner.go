// Package watch holds the predicates and map functions by which changes of one kind wake the reconcilers of another.
package watch

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
)

// ProjectsOfRunner returns all projects that name a runner.
func ProjectsOfRunner(ctx context.Context, reader client.Reader, runner client.Object) []reconcile.Request {
	return Wake(ctx, reader, &v1alpha1.ProjectImageCacheList{}, runner,
		client.InNamespace(runner.GetNamespace()), client.MatchingFields{indexes.ProjectRunner: runner.GetName()})
}

// ToProjectsOfRunner is a map function for watches of runners. It calls ProjectsOfRunner.
func ToProjectsOfRunner(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, runner client.Object) []reconcile.Request {
		return ProjectsOfRunner(ctx, reader, runner)
	}
}

// ProjectOfRequest maps a request to its project.
func ProjectOfRequest(_ context.Context, object client.Object) []reconcile.Request {
	ref := object.(*v1alpha1.DevcontainerImage).Spec.ProjectRef
	if ref == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: ref.Name}}}
}

// ConcernsProjects passes the creation and the removal of a runner, and the updates that its projects follow. A new
// number of projects, or a check of an unchanged stack, wakes no project.
func ConcernsProjects() predicate.Predicate {
	return predicate.Funcs{
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.RunnerImageCache), e.ObjectNew.(*v1alpha1.RunnerImageCache)
			return !equality.Semantic.DeepEqual(Followed(before), Followed(after))
		},
	}
}

// Followed is the part of a runner that projects follow.
func Followed(runner *v1alpha1.RunnerImageCache) []any {
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
