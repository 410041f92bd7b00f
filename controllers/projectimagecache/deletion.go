package projectimagecache

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/notice"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// finalize lets a deleted project go when its repository is deleted or released, as the object asks.
func (r *Reconciler) finalize(ctx context.Context, project *v1alpha1.ProjectImageCache) error {
	if !controllerutil.ContainsFinalizer(project, v1alpha1.Finalizer) {
		r.forget(project.UID)
		return nil
	}
	if err := r.remove(ctx, project); err != nil {
		return outcome.First(persist.Status(ctx, r.Client, project, &project.Status, deletingProjectStatus(project, err)), err)
	}
	if project.Status.PullCredentials != nil {
		if err := credentials.Remove(ctx, r.Client, project.Namespace, project.Status.PullCredentials.SecretName); err != nil {
			return err
		}
	}
	r.forget(project.UID)
	return persist.NoFinalizer(ctx, r.Client, project)
}

// readsLag is how long after a repository's creation a read may not find it.
const readsLag = 10 * time.Second

// madeJustNow reports whether a project's repository became ready so recently that reads may not find it.
func madeJustNow(project *v1alpha1.ProjectImageCache, now time.Time) bool {
	ready := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionRepositoryReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && now.Sub(ready.LastTransitionTime.Time) < readsLag
}

// remove deletes the repository if the controller created it and the object asks for its deletion. Otherwise it
// removes the owner's tag, so that another object can adopt the repository. Before either, it asks AWS who owns the
// repository now.
func (r *Reconciler) remove(ctx context.Context, project *v1alpha1.ProjectImageCache) error {
	if why, ok := project.Annotations[v1alpha1.AnnotationAbandon]; ok {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, notice.Abandoned, "Delete",
			"released the object without calling AWS, as the annotation %s asks: %s", v1alpha1.AnnotationAbandon, why)
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
			"runner %s, which is needed to reach repository %s, does not exist; apply it, or set the annotation %s to release the object",
			project.Spec.RunnerRef.Name, project.Status.Repository.Name, v1alpha1.AnnotationAbandon)
	}
	target, err := r.Targets.Of(ctx, runner)
	if err == nil && project.Status.Repository != nil {
		err = awstarget.ProjectRefusal(project, runner)
	}
	if outcome.IsRefusal(err) {
		return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "the controller can't remove the repository: %s; or set the annotation %s to release the object",
			err.Error(), v1alpha1.AnnotationAbandon)
	}
	if err != nil {
		return err
	}
	desired := desiredFor(project, runner, r.ClusterUID)
	seen, err := target.Repositories.Describe(ctx, desired.name)
	if err == nil && seen == nil && madeJustNow(project, r.Clock.Now()) {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, repositorySettles, "repository %s was created recently and is not visible yet", desired.name)
	}
	if err != nil || seen == nil || !desired.owns(project, seen) {
		return err
	}
	if project.Spec.DeletionPolicy == v1alpha1.DeletionRetain || originOf(seen.Tags[awstag.Origin], project) != v1alpha1.RepositoryCreated {
		target.Inventory.Forget(desired.name)
		log.FromContext(ctx).Info("Released repository", "repository", desired.name)
		return target.Repositories.Untag(ctx, seen.ARN, []string{awstag.Owner, awstag.Origin})
	}
	// The inventory forgets the repository first: a deletion may succeed although its answer is lost.
	target.Inventory.Forget(desired.name)
	if err := deleteRepository(ctx, target.Repositories, desired.name); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Deleted repository", "repository", desired.name)
	r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryRemoved", "Delete", "deleted repository %s", desired.name)
	return nil
}

// deleteRepository deletes a repository. If the answer of the first try was lost, AWS may deny the second try instead
// of returning NotFound, because the permission to delete depends on a tag that is gone too. So it checks after a
// denial whether the repository exists.
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
