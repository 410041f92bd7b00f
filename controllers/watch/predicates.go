package watch

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"imagecache.dev/api/v1alpha1"
)

// BuilderEnded passes the update that ends a builder's request, and its removal.
func BuilderEnded() predicate.Predicate {
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

// DeletionStarted passes the update that marks an object as being deleted. That update does not change the generation
// of an object whose spec stays the same.
func DeletionStarted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
	}
}

// Abandoned passes the updates that set or remove the annotation AnnotationAbandon.
func Abandoned() predicate.Predicate {
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

// RemovedOnly passes the removal of an object and nothing else.
func RemovedOnly() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
