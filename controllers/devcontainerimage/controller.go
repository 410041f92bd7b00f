// Package devcontainerimage answers the requests of environments and publishes the images that their builders report.
package devcontainerimage

import (
	"context"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/signingkeys"
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
	// AWSClock is AWS' clock.
	AWSClock clock.PassiveClock
	// BuildLease is how long a builder keeps its lease without renewing it. Zero means 45 s.
	BuildLease time.Duration

	Targets *awstarget.Targets
	// Inputs are those of requests, which Client does not show.
	Inputs *inputs.Memory
	// Keys sign and verify images. ClusterUID is this cluster's name in what they sign.
	Keys       *signingkeys.Keys
	ClusterUID string
	leases     *buildLeases
	rights     *uploadRights
	Census     *census.Census
}

// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages,verbs=get;list;watch;patch;update;delete
// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages/status,verbs=patch
// +kubebuilder:rbac:groups=imagecache.dev,resources=devcontainerimages/finalizers,verbs=update
// +kubebuilder:rbac:groups=imagecache.dev,resources=projectimagecaches;runnerimagecaches,verbs=get;list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile advances a request as far as it can, and writes one status. A finished request only takes late reports,
// until it is removed.
func (r *Reconciler) Reconcile(ctx context.Context, image *v1alpha1.DevcontainerImage) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, image)
	result.Priority = ptr.To(r.priorityOf(image))
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, image *v1alpha1.DevcontainerImage) (ctrl.Result, error) {
	p := &pass{image: image, status: *image.Status.DeepCopy(), now: r.Clock.Now(), awsNow: r.AWSClock.Now()}
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues(namesOf(image)...))
	if !image.DeletionTimestamp.IsZero() {
		// The request goes when its upload rights are removed and its lease is released.
		return outcome.Result(ctx, r.tidyUp(ctx, p), 0)
	}
	if image.Status.FinishedAt != nil {
		next, err := r.afterwards(ctx, p)
		return outcome.Result(ctx, err, next)
	}
	end, err := r.advance(ctx, p)
	p.end = end
	p.end.err = outcome.First(end.err, err)
	if err := r.persist(ctx, p); err != nil {
		return outcome.Result(ctx, err, 0)
	}
	if !end.final {
		return outcome.Result(ctx, err, p.leaseLeft)
	}
	err = r.tidyUp(ctx, p)
	if image.Status.FinishedAt == nil { // the request was removed during the pass, so nothing was written
		return outcome.Result(ctx, err, 0)
	}
	return outcome.Result(ctx, err, max(dueAt(image).Sub(p.now), time.Second))
}

// namesOf returns the keys and values under which the log names a request's environment.
func namesOf(image *v1alpha1.DevcontainerImage) []any {
	names := []any{"environment", image.Spec.EnvironmentID}
	if image.Spec.Service != "" {
		names = append(names, "service", image.Spec.Service)
	}
	return names
}

// step is a part of a pass. The next step runs if it returns neither a final ending nor an error. An error is why the
// request is not finished: it waits, or a call to AWS or the cluster failed.
type step func(context.Context, *pass) (ending, error)

// advance runs the steps in order until one of them ends the pass.
func (r *Reconciler) advance(ctx context.Context, p *pass) (ending, error) {
	for _, next := range []step{
		r.bypass,
		r.buildLocally, // of an earlier pass's answer; it needs no project, which may not exist any more
		r.resolve,
		r.answer,
		r.serve,
		r.buildLocally, // of this pass's answer
		r.assignRole,
		r.wait,
	} {
		if end, err := next(ctx, p); err != nil || end.final {
			return end, err
		}
	}
	return r.build(ctx, p)
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
	if err := persist.Status(ctx, r.Client, p.image, &p.image.Status, lateStatus(p.image)); err != nil {
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
	if err := r.removePushCredentials(ctx, p); err != nil {
		return err
	}
	if builder := p.status.Builder; builder != nil {
		if err := r.leases.release(ctx, p.image, builder.LeaseName); err != nil {
			return err
		}
	}
	return persist.NoFinalizer(ctx, r.Client, p.image)
}

// persist computes the status from the pass's facts, writes it if it changed, and announces the change.
func (r *Reconciler) persist(ctx context.Context, p *pass) error {
	before := p.image.Status.DeepCopy()
	// Read this before the write. The write may finish the request, and the census then forgets it at any moment.
	arrived, known := r.Census.ArrivalOf(p.image)
	p.status = statusFor(p)
	if err := persist.Status(ctx, r.Client, p.image, &p.image.Status, *p.status.DeepCopy()); err != nil {
		return err
	}
	r.announce(p.image, before)
	if known && before.CacheResult == "" && p.image.Status.CacheResult != "" {
		metric.AnswerSeconds.WithLabelValues(string(p.image.Status.CacheResult)).Observe(r.Clock.Since(arrived).Seconds())
	}
	return nil
}
