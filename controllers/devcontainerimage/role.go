package devcontainerimage

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/persist"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/publication"
)

// buildLocally ends a request that missed and may not publish: its environment builds for itself. It needs no project.
func (r *Reconciler) buildLocally(ctx context.Context, p *pass) (ending, error) {
	if p.status.CacheResult == v1alpha1.CacheMiss && p.status.Role == "" {
		siblings, err := r.requestsOf(ctx, p.image, indexes.Environment, indexes.EnvironmentShare(p.image.Spec.EnvironmentID))
		if err != nil {
			return ending{}, err
		}
		if why, may := mayPublish(p.image, siblings); !may {
			p.status.Role = v1alpha1.RoleLocalBuild
			p.status.Explanation = conditions.Shorten(p.status.Explanation + "; " + why)
		}
	}
	if p.status.Role != v1alpha1.RoleLocalBuild {
		return ending{}, nil
	}
	return finished(v1alpha1.ReasonLocalBuild, p.status.Explanation), nil
}

// assignRole decides once whether a request that missed and may publish builds, or waits for the builder.
func (r *Reconciler) assignRole(ctx context.Context, p *pass) (ending, error) {
	if p.status.Role != "" {
		return ending{}, nil
	}
	return ending{}, r.contend(ctx, p)
}

// contend claims the build lease of the request's hash. The request that acquires the lease becomes the builder, and
// all others become waiters.
func (r *Reconciler) contend(ctx context.Context, p *pass) error {
	repository, err := projects.ClosedRepositoryOf(p.project)
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
		if err := persist.Finalizer(ctx, r.Client, p.image); err != nil {
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
		r.offerLayers(ctx, p)
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
	keys, err := r.Keys.Current()
	if err != nil {
		return false, err
	}
	unusable, about := publication.Judge(*cachedOf(found), p.expectation(), policyOf(p.project), keys.Verifier, p.awsNow)
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
		ExpectedSeconds: expectedBuildSeconds(r.originOf(ctx, p), published),
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
