package devcontainerimage

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

// A tag of ECR can't be moved, so a replacement removes the old image before it puts the new one. A lookup between the two
// finds nothing, and that is no miss: its environment would wait for a build, or make one, although there was always an
// image.
const (
	// replacementLooks is how long a lookup waits before it is repeated.
	replacementLooks = 50 * time.Millisecond
	// replacementPatience is how long lookups wait for one replacement. It takes milliseconds. Where AWS delays it, the hash
	// has no image, and environments build.
	replacementPatience = 3 * time.Second
)

// awaitReplacement is for a lookup that found no image. It returns a wait if another request may have put one since, or is
// about to. before is the build lease of the request's hash from before the lookup.
func (r *Reconciler) awaitReplacement(ctx context.Context, p *pass, before *coordinationv1.Lease) error {
	if before == nil || holds(p.image, before) {
		return nil
	}
	holder, err := r.cachedRequest(ctx, p, holderName(before))
	if err != nil {
		return err
	}
	after, err := r.leases.cached(ctx, before.Namespace, before.Name)
	if err != nil {
		return err
	}
	ended := after == nil || after.UID != before.UID // maybe well
	if !ended && (!putsNow(holder, before) || r.leases.putsSince(before) > replacementPatience) {
		return nil
	}
	return outcome.Waitingf(v1alpha1.ReasonProgressing, replacementLooks, "another environment may just have published the image")
}

// putsNow reports whether a request that holds a lease is putting the image that replaces another, or has put one and not
// released the lease yet. holder is nil if it does not exist.
func putsNow(holder *v1alpha1.DevcontainerImage, lease *coordinationv1.Lease) bool {
	switch {
	case holder == nil || !holds(holder, lease):
		return false
	case holder.Status.FinishedAt != nil:
		return holder.Status.Image != nil
	}
	build := holder.Spec.Build
	return holder.Status.ReplacesDigest != "" && build != nil && build.Outcome == v1alpha1.BuildSucceeded &&
		uploadIsNews(holder, &holder.Status) // before that, it has removed nothing
}
