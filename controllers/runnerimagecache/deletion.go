package runnerimagecache

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/notice"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
)

// finalize lets a deleted runner go when no project names it and the roles that were created for it are removed.
func (r *Reconciler) finalize(ctx context.Context, runner *v1alpha1.RunnerImageCache, projects int32) error {
	if !controllerutil.ContainsFinalizer(runner, v1alpha1.Finalizer) {
		r.forget(runner.UID)
		return nil
	}
	err := r.remove(ctx, runner, projects)
	if err != nil {
		// A failed status write takes precedence over err: projects wait until the status shows the deletion, and err
		// may wait for a watch that never fires without it.
		return outcome.First(persist.Status(ctx, r.Client, runner, &runner.Status, deletingRunnerStatus(runner, projects, err)), err)
	}
	r.forget(runner.UID)
	return persist.NoFinalizer(ctx, r.Client, runner)
}

func (r *Reconciler) remove(ctx context.Context, runner *v1alpha1.RunnerImageCache, projects int32) error {
	if why, ok := runner.Annotations[v1alpha1.AnnotationAbandon]; ok {
		r.Recorder.Eventf(runner, nil, corev1.EventTypeWarning, notice.Abandoned, "Delete",
			"released the object without calling AWS, as the annotation %s asks: %s", v1alpha1.AnnotationAbandon, why)
		return nil
	}
	if projects > 0 {
		return outcome.Waitingf(v1alpha1.ReasonProjectsRemain, 0, "%d ProjectImageCaches still name this runner; delete them first", projects)
	}
	if runner.Spec.Roles.Type == v1alpha1.RolesProvided || runner.Spec.Provider != v1alpha1.ProviderAWSEC2 {
		return nil
	}
	if !awstarget.MayAssume(runner, awstarget.AllowedRoles(r.AllowedRoles, runner.Namespace)) {
		if runner.Status.AccountID == "" {
			return nil
		}
		return outcome.Waitingf(v1alpha1.ReasonAssumeRoleNotAllowed, r.Intervals.Roles,
			"the controller can't remove the roles: the manager's settings don't allow namespace %s to use role %s; allow it, or set the annotation %s to release the object",
			runner.Namespace, runner.Spec.AssumeRoleARN, v1alpha1.AnnotationAbandon)
	}
	// Roles may exist although the status does not show them, if a pass could not write its status.
	return r.removeRoles(ctx, runner)
}
