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
	// replacementPatience is how long after its arrival a request looks again. A replacement takes milliseconds. One that
	// AWS keeps from its end must not keep environments from building.
	replacementPatience = 5 * time.Second
	replacementLooks    = 50 * time.Millisecond
)

// awaitReplacement is for a lookup that found no image. It returns a wait if another request was about to put one at that
// time. before is the build lease of the request's hash from before the lookup.
func (r *Reconciler) awaitReplacement(ctx context.Context, p *pass, before *coordinationv1.Lease) error {
	arrived, known := r.Census.ArrivalOf(p.image)
	if before == nil || !known || p.now.Sub(arrived) > replacementPatience {
		return nil
	}
	holder, err := r.cachedRequest(ctx, p, holderName(before))
	if err != nil {
		return err
	}
	lease, err := r.leases.cached(ctx, before.Namespace, before.Name)
	if err != nil || !mayHavePut(p.image, before, lease, holder) {
		return err
	}
	return outcome.Waitingf(v1alpha1.ReasonProgressing, replacementLooks, "the image is being replaced")
}

// mayHavePut reports whether the holder of a lease may have put its image during a lookup that found none. before and
// after are the lease around the lookup, and holder is its holder before, as it is now.
func mayHavePut(asking *v1alpha1.DevcontainerImage, before, after *coordinationv1.Lease, holder *v1alpha1.DevcontainerImage) bool {
	switch {
	case before == nil || holds(asking, before):
		return false
	case after == nil || after.UID != before.UID:
		return true // it has ended, maybe well
	case holder == nil:
		return false
	case holder.Status.FinishedAt != nil:
		return holder.Status.Image != nil
	}
	build := holder.Spec.Build
	return holder.Status.ReplacesDigest != "" && build != nil && build.Outcome == v1alpha1.BuildSucceeded &&
		uploadIsNews(holder, &holder.Status) // before that, the old image is still there
}
