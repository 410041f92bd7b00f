package projectimagecache

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/notice"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// finalize lets a deleted project go once its repository is removed or left, as the object says.
func (r *Reconciler) finalize(ctx context.Context, project *v1alpha1.ProjectImageCache) error {
	if !controllerutil.ContainsFinalizer(project, v1alpha1.Finalizer) {
		r.forget(project.UID)
		return nil
	}
	if err := r.remove(ctx, project); err != nil {
		return outcome.First(r.patchStatus(ctx, project, deletingProjectStatus(project, err)), err)
	}
	if project.Status.PullCredentials != nil {
		if err := credentials.Remove(ctx, r.Client, project.Namespace, project.Status.PullCredentials.SecretName); err != nil {
			return err
		}
	}
	r.forget(project.UID)
	before := project.DeepCopy()
	controllerutil.RemoveFinalizer(project, v1alpha1.Finalizer)
	err := r.Client.Patch(ctx, project, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}

// readsLag is for how long after a repository was made a read may not find it.
const readsLag = 10 * time.Second

// madeJustNow says whether a project's repository became ready so short a time ago that reads may not find it.
func madeJustNow(project *v1alpha1.ProjectImageCache, now time.Time) bool {
	ready := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionRepositoryReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && now.Sub(ready.LastTransitionTime.Time) < readsLag
}

// remove deletes the repository if the controller made it and the object asks for that; one that stays loses the owner's
// tag, so that another object can take it over. It asks AWS whose the repository is, at this moment, before it does
// either.
func (r *Reconciler) remove(ctx context.Context, project *v1alpha1.ProjectImageCache) error {
	if why, ok := project.Annotations[v1alpha1.AnnotationAbandon]; ok {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, notice.Abandoned, "Delete",
			"let go without touching AWS, as the annotation %s asks: %s", v1alpha1.AnnotationAbandon, why)
		return nil
	}
	runner, err := r.runnerOf(ctx, project)
	if err != nil {
		return err
	}
	if runner == nil || runner.Status.AccountID == "" {
		if project.Status.Repository == nil {
			return nil
		}
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0,
			"runner %s is needed to reach the repository %s; apply it, or set the annotation %s to let go of the repository",
			project.Spec.RunnerRef.Name, project.Status.Repository.Name, v1alpha1.AnnotationAbandon)
	}
	target, err := r.Targets.Of(ctx, runner)
	if err == nil && project.Status.Repository != nil {
		err = awstarget.ProjectRefusal(project, runner)
	}
	if outcome.IsRefusal(err) {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the repository can't be removed: %s; or set the annotation %s to let go of it",
			err.Error(), v1alpha1.AnnotationAbandon)
	}
	if err != nil {
		return err
	}
	desired := desiredFor(project, runner, r.ClusterUID)
	seen, err := target.Repositories.Describe(ctx, desired.name)
	if err == nil && seen == nil && target.Inventory.Get(desired.name) != nil && madeJustNow(project, r.Clock.Now()) {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, repositorySettles, "repository %s was made a moment ago and is not to be seen yet", desired.name)
	}
	if err != nil || seen == nil || seen.Tags[awstag.Owner] != desired.owner {
		return err
	}
	if project.Spec.DeletionPolicy == v1alpha1.DeletionRetain || originOf(seen.Tags[awstag.Origin], project) != v1alpha1.RepositoryCreated {
		target.Inventory.Forget(desired.name)
		log.FromContext(ctx).Info("Left repository", "repository", desired.name)
		return target.Repositories.Untag(ctx, seen.ARN, []string{awstag.Owner, awstag.Origin})
	}
	// Forgotten first: a deletion whose answer is lost was one.
	target.Inventory.Forget(desired.name)
	if err := deleteRepository(ctx, target.Repositories, desired.name); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Removed repository", "repository", desired.name)
	r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryRemoved", "Delete", "removed repository %s", desired.name)
	return nil
}

// deleteRepository deletes a repository. A second try after one whose answer was lost may be denied rather than answered
// with NotFound, because the right to delete hangs on a tag that is gone too; so a denial is looked into.
func deleteRepository(ctx context.Context, repositories *ecr.Repositories, name string) error {
	err := repositories.Delete(ctx, name)
	if aws.ClassOf(err) != aws.ClassAccessDenied {
		return err
	}
	if seen, lookErr := repositories.Describe(ctx, name); lookErr == nil && seen == nil {
		return nil
	}
	return err
}
