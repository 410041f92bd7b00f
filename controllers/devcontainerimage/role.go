package devcontainerimage

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/publication"
)

// assignRole decides what the environment does after a miss: build and publish, wait for the builder, or build for
// itself.
func (r *Reconciler) assignRole(ctx context.Context, p *pass) error {
	siblings, err := r.requestsOf(ctx, p.image, indexes.Environment, indexes.EnvironmentShare(p.image.Spec.EnvironmentID))
	if err != nil {
		return err
	}
	if why, may := mayPublish(p.image, siblings); !may {
		p.status.Role = v1alpha1.RoleLocalBuild
		p.status.Explanation = conditions.Shorten(p.status.Explanation + "; " + why)
		return nil
	}
	return r.contend(ctx, p)
}

// contend claims the build lease of the request's hash. The request that acquires the lease becomes the builder, and
// all others become waiters.
func (r *Reconciler) contend(ctx context.Context, p *pass) error {
	if err := r.resolve(ctx, p); err != nil {
		return err
	}
	repository, err := projects.RepositoryOf(p.project)
	if err != nil {
		return err
	}
	name := buildLeaseName(repository.Name, p.status.ConfigHash)
	lease, err := r.leases.cached(ctx, p.image.Namespace, name)
	if err != nil {
		return err
	}
	if lease == nil {
		if lease, err = r.leases.claim(ctx, p.image, name, p.status.ConfigHash); err != nil {
			return err
		}
	}
	if holds(p.image, lease) {
		// The finalizer keeps the request until it releases the lease. If this process dies before it sets the
		// finalizer, waiters find that the holder no longer exists.
		if err := r.addFinalizer(ctx, p); err != nil {
			return err
		}
	}
	if err := r.letFinish(ctx, p, lease); err != nil {
		return err
	}
	if p.status.Builder, err = r.describeBuilder(ctx, p, lease); err != nil {
		return err
	}
	p.status.Role = v1alpha1.RoleWaiter
	if !holds(p.image, lease) {
		return nil
	}
	published, err := r.publishedMeanwhile(ctx, p, repository)
	if err == nil && !published {
		p.status.Role = v1alpha1.RoleBuilder
	}
	return err
}

// letFinish waits for the moment between a builder's end and the release of its lease. A waiter would now take the
// builder's image, which this request's own lookup may have missed. When the lease is free, the request looks the
// image up again.
func (r *Reconciler) letFinish(ctx context.Context, p *pass, lease *coordinationv1.Lease) error {
	holder, err := r.cachedRequest(ctx, p, holderName(lease))
	if err != nil {
		return err
	}
	if holder != nil && holder.UID != p.image.UID && holds(holder, lease) && holder.Status.FinishedAt != nil {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, outcome.ConflictRetry, "the build lease of environment %s is being released", holder.Spec.EnvironmentID)
	}
	return nil
}

// publishedMeanwhile looks the image up again when no other request can build it. The previous builder may have
// published it after this request was answered. If the image is usable, the request takes it.
func (r *Reconciler) publishedMeanwhile(ctx context.Context, p *pass, repository *v1alpha1.RepositoryStatus) (bool, error) {
	found, err := r.find(ctx, p, repository)
	if err != nil || found == nil || found.Digest == p.status.ReplacesDigest {
		return false, err
	}
	unusable, about := publication.Judge(*cachedOf(found), p.expectation(), policyOf(p.project), p.now)
	if unusable != publication.Usable {
		p.status.ReplacesDigest = found.Digest
		return false, nil
	}
	p.status.Image = p.cachedImage(found, about.BuildSeconds)
	return true, nil
}

// describeBuilder returns the description of a lease's holder that waiters show in their status.
func (r *Reconciler) describeBuilder(ctx context.Context, p *pass, lease *coordinationv1.Lease) (*v1alpha1.BuilderReference, error) {
	published, err := r.requestsOf(ctx, p.image, indexes.PublishedProject, p.image.Spec.ProjectRef.Name)
	if err != nil {
		return nil, err
	}
	builder := &v1alpha1.BuilderReference{
		Name:            holderName(lease),
		LeaseName:       lease.Name,
		ExpectedSeconds: expectedBuildSeconds(p.image, published),
	}
	if lease.Spec.AcquireTime != nil {
		builder.StartedAt = metaTime(lease.Spec.AcquireTime.Truncate(1e9))
	}
	request, err := r.cachedRequest(ctx, p, builder.Name)
	if request != nil {
		builder.EnvironmentID = request.Spec.EnvironmentID
	}
	return builder, err
}

func (r *Reconciler) addFinalizer(ctx context.Context, p *pass) error {
	if controllerutil.ContainsFinalizer(p.image, v1alpha1.Finalizer) {
		return nil
	}
	before := p.image.DeepCopy()
	controllerutil.AddFinalizer(p.image, v1alpha1.Finalizer)
	if err := r.Client.Patch(ctx, p.image, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	return nil
}

// wait keeps a waiter waiting while another request builds, gives it the image when one exists, and makes it contend
// for the lease when the builder ended without an image.
func (r *Reconciler) wait(ctx context.Context, p *pass) error {
	if err := r.resolve(ctx, p); err != nil {
		return err
	}
	if p.status.Image != nil {
		return p.handOver(v1alpha1.ReasonImageFound, "built by another environment")
	}
	if p.image.Spec.Build != nil {
		p.end.publication = &fate{reason: v1alpha1.ReasonNotBuilder, message: "another environment is the builder for the cache; this image is used where it was built"}
		p.finish(v1alpha1.ReasonLocalBuild, "the environment did not wait and built for itself")
		return nil
	}
	builder, err := r.cachedRequest(ctx, p, p.status.Builder.Name)
	if err != nil {
		return err
	}
	if hasBuilt(builder, p) {
		p.status.Image = builder.Status.Image.DeepCopy()
		return p.handOver(v1alpha1.ReasonImageFound, "built by environment "+builder.Spec.EnvironmentID)
	}
	lease, err := r.leases.cached(ctx, p.image.Namespace, p.status.Builder.LeaseName)
	if err != nil {
		return err
	}
	if lease != nil && !holds(p.image, lease) { // a pass that was cut short may have acquired the request's own lease
		return r.waitFor(ctx, p, lease)
	}
	return r.succeed(ctx, p)
}

// The end of the builder's request and the removal of its lease wake a waiter. Both find the waiter by its status,
// which the cache may not show yet at that time. So a new waiter looks once more soon, and every waiter looks again
// from time to time.
const (
	newWaiterLooks = 250 * time.Millisecond
	waiterLooks    = 30 * time.Second
)

func (p *pass) waitForBuilder() error {
	after := waiterLooks
	if p.image.Status.Role != v1alpha1.RoleWaiter {
		after = newWaiterLooks
	}
	return outcome.Waitingf(v1alpha1.ReasonWaitingForBuilder, after, "environment %s is building this configuration", p.status.Builder.EnvironmentID)
}

// hasBuilt reports whether a builder ended with the image that a waiter waits for. The image must have the waiter's
// hash, and must not be the image that the waiter's answer wants to replace, which a builder that still held its
// lease may have published before.
func hasBuilt(builder *v1alpha1.DevcontainerImage, waiter *pass) bool {
	return builder != nil && builder.Status.Image != nil && builder.Status.FinishedAt != nil &&
		builder.Status.ConfigHash == waiter.status.ConfigHash && builder.Status.Image.Digest != waiter.status.ReplacesDigest
}

// waitFor waits for the lease's holder. A holder that does not exist can't release the lease, so waitFor removes the
// lease.
func (r *Reconciler) waitFor(ctx context.Context, p *pass, lease *coordinationv1.Lease) error {
	name := holderName(lease)
	if name != p.status.Builder.Name {
		described, err := r.describeBuilder(ctx, p, lease)
		if err != nil {
			return err
		}
		p.status.Builder = described
	}
	holder, key := &v1alpha1.DevcontainerImage{}, types.NamespacedName{Namespace: p.image.Namespace, Name: name}
	err := r.Client.Get(ctx, key, holder)
	if apierrors.IsNotFound(err) || err == nil && !holds(holder, lease) {
		err = r.Live.Get(ctx, key, holder) // the cache may be behind
	}
	if apierrors.IsNotFound(err) || err == nil && !holds(holder, lease) {
		if err := r.leases.remove(ctx, lease); err != nil {
			return err
		}
		return r.succeed(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("read builder: %w", err)
	}
	return p.waitForBuilder()
}

// succeed handles a builder that is gone: the waiter contends for the lease, and builds unless the image exists.
func (r *Reconciler) succeed(ctx context.Context, p *pass) error {
	if err := r.contend(ctx, p); err != nil || p.status.Role == v1alpha1.RoleBuilder {
		return err
	}
	if p.status.Image != nil {
		return p.handOver(v1alpha1.ReasonImageFound, "built by another environment")
	}
	return outcome.Waitingf(v1alpha1.ReasonWaitingForBuilder, 0, "environment %s is building this configuration", p.status.Builder.EnvironmentID)
}

// cachedRequest returns another request of the namespace from the cache, or nil.
func (r *Reconciler) cachedRequest(ctx context.Context, p *pass, name string) (*v1alpha1.DevcontainerImage, error) {
	request := &v1alpha1.DevcontainerImage{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: p.image.Namespace, Name: name}, request)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get request %s: %w", name, err)
	}
	return request, nil
}
