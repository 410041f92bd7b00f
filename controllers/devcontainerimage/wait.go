package devcontainerimage

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// wait keeps a waiter waiting while another request builds, gives it the image when one exists, and makes it contend
// for the lease when the builder ended without an image.
func (r *Reconciler) wait(ctx context.Context, p *pass) (ending, error) {
	if p.status.Role != v1alpha1.RoleWaiter {
		return ending{}, nil
	}
	if p.status.Image != nil {
		return p.handOver(v1alpha1.ReasonImageFound, "built by another environment")
	}
	if p.image.Spec.Build != nil {
		return finished(v1alpha1.ReasonLocalBuild, "the environment did not wait and built for itself").with(fate{
			reason: v1alpha1.ReasonNotBuilder, message: "another environment is the builder for the cache; this image is used where it was built",
		}), nil
	}
	builder, err := r.cachedRequest(ctx, p, p.status.Builder.Name)
	if err != nil {
		return ending{}, err
	}
	if hasBuilt(builder, p) {
		p.status.Image = builder.Status.Image.DeepCopy()
		return p.handOver(v1alpha1.ReasonImageFound, "built by environment "+builder.Spec.EnvironmentID)
	}
	lease, err := r.leases.cached(ctx, p.image.Namespace, p.status.Builder.LeaseName)
	if err != nil {
		return ending{}, err
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
	return outcome.Waitingf(v1alpha1.ReasonWaitingForBuilder, after, "environment %s is building this configuration%s", p.status.Builder.EnvironmentID, forService(p.image))
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
func (r *Reconciler) waitFor(ctx context.Context, p *pass, lease *coordinationv1.Lease) (ending, error) {
	name := holderName(lease)
	if name != p.status.Builder.Name {
		described, err := r.describeBuilder(ctx, p, lease)
		if err != nil {
			return ending{}, err
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
			return ending{}, err
		}
		return r.succeed(ctx, p)
	}
	if err != nil {
		return ending{}, fmt.Errorf("read builder: %w", err)
	}
	p.status.Builder.UploadingSince = longUpload(holder.Status.Upload)
	return ending{}, p.waitForBuilder()
}

// longUpload returns when an upload began, if it takes longer than one grant of rights.
func longUpload(upload *v1alpha1.UploadStatus) *metav1.Time {
	if upload == nil || upload.Grants < 2 {
		return nil
	}
	return &upload.StartedAt
}

// succeed handles a builder that is gone: the waiter contends for the lease, and builds unless the image exists.
func (r *Reconciler) succeed(ctx context.Context, p *pass) (ending, error) {
	if err := r.contend(ctx, p); err != nil || p.status.Role == v1alpha1.RoleBuilder {
		return ending{}, err
	}
	if p.status.Image != nil {
		return p.handOver(v1alpha1.ReasonImageFound, "built by another environment")
	}
	// The removal of the lease, which the cache may not show yet, wakes only waiters whose status it shows.
	return ending{}, p.waitForBuilder()
}
