package controllers

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"imagecache.dev/api/v1alpha1"
)

// ProjectImageCacheReconciler keeps each project's repository in ECR as its object and its runner ask.
type ProjectImageCacheReconciler struct {
	Client     client.Client
	Recorder   events.EventRecorder
	Clock      clock.PassiveClock
	ClusterUID string

	Intervals Intervals
	// PricePerGBMonth is ECR's storage price in US dollars, for the estimated cost.
	PricePerGBMonth float64

	targets *awsTargets
	writes  *ownWrites

	mu      sync.Mutex
	sweeps  map[types.UID]time.Time // when each project's policies are to be read next
	counted map[types.UID]*v1alpha1.ImageStatistics
	drifted map[types.UID][]finding // what was found and could not be put right yet
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches,verbs=get;list;watch;patch;update
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches/status,verbs=patch
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches/finalizers,verbs=update
// +kubebuilder:rbac:groups=imagecache.dev,resources=runnerimagecaches;devcontainerimages,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile brings one project's repository to what is wanted of it and says in the status how far it is.
func (r *ProjectImageCacheReconciler) Reconcile(ctx context.Context, project *v1alpha1.ProjectImageCache) (ctrl.Result, error) {
	if r.writes.isBehind(project) {
		return outcome(ctx, waitingf(v1alpha1.ReasonProgressing, conflictRetry, "the cache is behind the last status"), 0)
	}
	if !project.DeletionTimestamp.IsZero() {
		return settled(ctx, r.finalize(ctx, project), r.Intervals.Drift)
	}
	if err := r.hold(ctx, project); err != nil {
		return outcome(ctx, err, 0)
	}
	runner, err := r.runnerOf(ctx, project)
	if err != nil {
		return outcome(ctx, err, 0)
	}
	if runner != nil && !observed(runner) && project.Status.Repository != nil {
		// The runner's watch wakes the project in a moment. Until then it stays as ready as it was.
		return outcome(ctx, nil, 0)
	}
	facts := &projectFacts{now: r.Clock.Now()}
	next := r.work(ctx, project, runner, facts)
	r.announceDrift(project, facts)
	before := project.Status.DeepCopy()
	if err := r.patchStatus(ctx, project, projectStatus(project, facts)); err != nil {
		return outcome(ctx, err, 0)
	}
	r.noteSweep(project, facts)
	r.announce(project, before, facts)
	return settled(ctx, facts.err(), next)
}

// work asks AWS and changes it, and returns when to look again although nothing in the cluster changed.
func (r *ProjectImageCacheReconciler) work(ctx context.Context, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache, facts *projectFacts) time.Duration {
	if runner == nil {
		facts.refused = waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s is not there; apply a RunnerImageCache of that name", project.Spec.RunnerRef.Name)
		return 0
	}
	facts.disabled = runner.Spec.Cache == v1alpha1.CacheDisabled
	target, refused := r.targets.ofProject(ctx, project, runner)
	if facts.refused = refused; refused != nil {
		return 0
	}
	facts.desired = desiredFor(project, runner, r.ClusterUID)
	due := r.sweepDue(project)
	facts.sweep = !facts.now.Before(due)
	r.converge(ctx, project, target, facts)
	due = r.nextSweep(project, due, facts)
	if isStalled(facts.repositoryErr) {
		return jittered(r.Intervals.Drift, project.UID)
	}
	return soonest(max(due.Sub(facts.now), time.Second), r.count(ctx, project, target, facts))
}

// runnerOf is the project's runner, nil if there is none.
func (r *ProjectImageCacheReconciler) runnerOf(ctx context.Context, project *v1alpha1.ProjectImageCache) (*v1alpha1.RunnerImageCache, error) {
	return runnerOf(ctx, r.Client, project)
}

func runnerOf(ctx context.Context, reader client.Reader, project *v1alpha1.ProjectImageCache) (*v1alpha1.RunnerImageCache, error) {
	runner := &v1alpha1.RunnerImageCache{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: project.Namespace, Name: project.Spec.RunnerRef.Name}, runner)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the project's runner: %w", err)
	}
	return runner, nil
}

// hold puts the finalizer on, before anything is made in AWS.
func (r *ProjectImageCacheReconciler) hold(ctx context.Context, project *v1alpha1.ProjectImageCache) error {
	if controllerutil.ContainsFinalizer(project, v1alpha1.Finalizer) {
		return nil
	}
	before := project.DeepCopy()
	controllerutil.AddFinalizer(project, v1alpha1.Finalizer)
	if err := r.Client.Patch(ctx, project, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	r.writes.note(project)
	return nil
}

func (r *ProjectImageCacheReconciler) patchStatus(ctx context.Context, project *v1alpha1.ProjectImageCache, status v1alpha1.ProjectImageCacheStatus) error {
	if err := patchProjectStatus(ctx, r.Client, project, status); err != nil {
		return err
	}
	r.writes.note(project)
	return nil
}

// patchProjectStatus writes a status if it is another than before. Two reconcilers write parts of it, and its list of
// conditions is replaced as a whole, so a pass that read an older object must lose.
func patchProjectStatus(ctx context.Context, c client.Client, project *v1alpha1.ProjectImageCache, status v1alpha1.ProjectImageCacheStatus) error {
	if reflect.DeepEqual(project.Status, status) {
		return nil
	}
	before := project.DeepCopy()
	project.Status = status
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(c.Status().Patch(ctx, project, patch)); err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	return nil
}
