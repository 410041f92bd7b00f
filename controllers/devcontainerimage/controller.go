// Package devcontainerimage answers the requests of environments and publishes the images that their builders report.
package devcontainerimage

import (
	"context"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/credentials"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/ownwrites"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sts"
)

// Reconciler answers the requests of environments with hit, miss or bypassed, chooses the builders, and publishes the
// images that they report.
type Reconciler struct {
	Client   client.Client
	Live     client.Reader // reads past the cache
	Granter  *sts.Granter
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// BuildLease is how long a builder keeps its lease without renewing it. Zero means 45 s.
	BuildLease time.Duration

	Targets *awstarget.Targets
	leases  *buildLeases
	writes  *ownwrites.Writes
	Census  *census.Census
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages,verbs=get;list;watch;patch;update;delete
// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages/status,verbs=patch
// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages/finalizers,verbs=update
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches;runnerimagecaches,verbs=get;list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile advances a request by one step: it observes, decides, acts, and writes one status.
func (r *Reconciler) Reconcile(ctx context.Context, image *v1alpha1.DevcontainerImage) (ctrl.Result, error) {
	if r.writes.IsBehind(image) {
		return outcome.Result(ctx, outcome.Waitingf(v1alpha1.ReasonProgressing, outcome.ConflictRetry, "the manager's cache does not show the last status yet"), 0)
	}
	p := &pass{image: image, status: *image.Status.DeepCopy(), now: r.Clock.Now()}
	if !image.DeletionTimestamp.IsZero() {
		return outcome.Result(ctx, r.finalize(ctx, p), 0)
	}
	if image.Status.FinishedAt != nil {
		next, err := r.afterwards(ctx, p)
		return outcome.Result(ctx, err, next)
	}
	err := r.advance(ctx, p)
	p.end.err = outcome.First(p.end.err, err)
	if patchErr := r.persist(ctx, p); patchErr != nil {
		return outcome.Result(ctx, patchErr, 0)
	}
	if err == nil && p.status.FinishedAt != nil {
		err = r.tidyUp(ctx, p)
		p.next = max(dueAt(image).Sub(p.now), time.Second)
	}
	return outcome.Result(ctx, err, p.next)
}

// advance runs the steps in order. Each step either ends the pass by setting p.end, or lets the next one run.
func (r *Reconciler) advance(ctx context.Context, p *pass) error {
	if p.status.CacheResult == "" {
		if err := r.answer(ctx, p); err != nil || p.end.final {
			return err
		}
	}
	switch p.status.CacheResult {
	case v1alpha1.CacheBypassed:
		p.finish(v1alpha1.ReasonBypassed, p.status.Explanation)
		return nil
	case v1alpha1.CacheHit:
		return r.serve(ctx, p)
	}
	if p.status.Role == "" {
		if err := r.assignRole(ctx, p); err != nil {
			return err
		}
	}
	if p.status.Role == v1alpha1.RoleWaiter {
		if err := r.wait(ctx, p); err != nil || p.status.Role == v1alpha1.RoleWaiter {
			return err
		}
	}
	if p.status.Role == v1alpha1.RoleLocalBuild {
		p.finish(v1alpha1.ReasonLocalBuild, p.status.Explanation)
		return nil
	}
	return r.build(ctx, p)
}

// serve ends a hit when credentials to pull its image exist.
func (r *Reconciler) serve(ctx context.Context, p *pass) error {
	if err := r.resolve(ctx, p); err != nil {
		return err
	}
	return p.handOver(v1alpha1.ReasonHit, p.status.Explanation)
}

// afterwards handles a finished request: late reports, and its removal.
func (r *Reconciler) afterwards(ctx context.Context, p *pass) (time.Duration, error) {
	due := dueAt(p.image)
	if !p.now.Before(due) {
		err := r.Client.Delete(ctx, p.image, client.Preconditions{UID: &p.image.UID})
		return 0, client.IgnoreNotFound(err)
	}
	if indexes.IsAtRest(p.image) {
		return due.Sub(p.now), nil
	}
	before := p.image.Status.DeepCopy()
	if err := r.patchStatus(ctx, p.withLateReports()); err != nil {
		return 0, err
	}
	r.announce(p.image, before)
	return due.Sub(p.now), r.tidyUp(ctx, p)
}

// tidyUp releases what a builder held. It runs after the status is written, so that no request sees a free lease
// before the image exists.
func (r *Reconciler) tidyUp(ctx context.Context, p *pass) error {
	if !controllerutil.ContainsFinalizer(p.image, v1alpha1.Finalizer) {
		return nil
	}
	if err := credentials.Remove(ctx, r.Client, p.image.Namespace, pushSecretName(p.image)); err != nil {
		return err
	}
	if builder := p.status.Builder; builder != nil {
		if err := r.leases.release(ctx, p.image, builder.LeaseName); err != nil {
			return err
		}
	}
	before := p.image.DeepCopy()
	controllerutil.RemoveFinalizer(p.image, v1alpha1.Finalizer)
	err := r.Client.Patch(ctx, p.image, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	return nil
}

// finalize lets a deleted request go when its upload rights are removed and its lease is released.
func (r *Reconciler) finalize(ctx context.Context, p *pass) error {
	return r.tidyUp(ctx, p)
}

// persist computes the status from the pass's facts, writes it if it changed, and announces the change.
func (r *Reconciler) persist(ctx context.Context, p *pass) error {
	before := p.image.Status.DeepCopy()
	p.status = statusFor(p)
	// Read this before the write. The write may finish the request, and the census then forgets it at any moment.
	arrived, known := r.Census.ArrivalOf(p.image)
	if err := r.patchStatus(ctx, p); err != nil {
		return err
	}
	r.announce(p.image, before)
	if known && before.CacheResult == "" && p.image.Status.CacheResult != "" {
		metric.AnswerSeconds.WithLabelValues(string(p.image.Status.CacheResult)).Observe(r.Clock.Since(arrived).Seconds())
	}
	return nil
}

func (r *Reconciler) patchStatus(ctx context.Context, p *pass) error {
	if reflect.DeepEqual(p.image.Status, p.status) {
		return nil
	}
	before := p.image.DeepCopy()
	p.image.Status = p.status
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, p.image, patch); err != nil {
		if apierrors.IsNotFound(err) {
			p.image.Status = before.Status // nothing was written, so nothing is announced
			return nil
		}
		return fmt.Errorf("patch status: %w", err)
	}
	r.writes.Note(p.image)
	p.status = *p.image.Status.DeepCopy()
	return nil
}

// resolve finds the request's project and runner, and waits while one of them does not exist or is not ready.
func (r *Reconciler) resolve(ctx context.Context, p *pass) error {
	if p.project != nil && p.runner != nil {
		return nil
	}
	project, runner := &v1alpha1.ProjectImageCache{}, &v1alpha1.RunnerImageCache{}
	key := types.NamespacedName{Namespace: p.image.Namespace, Name: p.image.Spec.ProjectRef.Name}
	if err := r.Client.Get(ctx, key, project); err != nil {
		if apierrors.IsNotFound(err) {
			return outcome.Waitingf(v1alpha1.ReasonWaitingForProject, 0, "project %s does not exist; apply a ProjectImageCache of that name", key.Name)
		}
		return fmt.Errorf("get project: %w", err)
	}
	key.Name = project.Spec.RunnerRef.Name
	if err := r.Client.Get(ctx, key, runner); err != nil {
		if apierrors.IsNotFound(err) {
			return outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "runner %s of project %s does not exist; apply a RunnerImageCache of that name", key.Name, project.Name)
		}
		return fmt.Errorf("get runner: %w", err)
	}
	p.project, p.runner = project, runner
	return nil
}

// images returns the ECR client of the request's runner. Its error tells why ECR must not be called now.
func (r *Reconciler) images(ctx context.Context, p *pass) (*ecr.Images, error) {
	target, err := r.Targets.Of(ctx, p.runner)
	if err != nil {
		return nil, err
	}
	return target.Images, nil
}

func logFor(ctx context.Context, p *pass) func(message string, keysAndValues ...any) {
	logger := log.FromContext(ctx).WithValues("environment", p.image.Spec.EnvironmentID, "configHash", p.status.ConfigHash)
	return func(message string, keysAndValues ...any) { logger.Info(message, keysAndValues...) }
}
