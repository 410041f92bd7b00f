package projectimagecache

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/internal/ecr"
)

// requestPage is how many requests one call to the API server reads.
const requestPage = 500

// removeInvalidated removes the images that were published before invalidatePushedBefore, and returns the others.
func (r *Reconciler) removeInvalidated(
	ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts, images []ecr.Image,
) ([]ecr.Image, error) {
	stay, invalidated := splitInvalidated(project, images)
	if err := removeImages(ctx, target, facts.desired.name, invalidated); err != nil {
		return nil, err
	}
	facts.invalidated = len(invalidated)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedInvalidated).Add(float64(len(invalidated)))
	return stay, nil
}

// removeUnused removes images that nobody used for spec.expireUnusedAfterDays, and returns the others. The requests that
// keep an image are read from the API server: the manager's cache is behind, and keeps no hashes of finished requests. A
// pull that begins between that read and the removal fails, and its environment builds.
func (r *Reconciler) removeUnused(
	ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts, images []ecr.Image,
) ([]ecr.Image, error) {
	before := unusedBefore(project.Spec.ExpireUnusedAfterDays, enabledAt(project, facts), r.AWSClock.Now())
	if before.IsZero() {
		return images, nil
	}
	if candidates, _ := planUnused(images, nil, before, maxUnused); len(candidates) == 0 {
		return images, nil
	}
	asked, err := r.askedFor(ctx, project, before)
	if err != nil {
		return images, err
	}
	unused, more := planUnused(images, asked, before, maxUnused)
	if err := removeImages(ctx, target, facts.desired.name, unused); err != nil {
		return images, err
	}
	facts.unused, facts.moreUnused = len(unused), more
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedUnused).Add(float64(len(unused)))
	return without(images, unused), nil
}

// removeImages removes images with their referrers.
func removeImages(ctx context.Context, target *awstarget.Target, repository string, images []ecr.Image) error {
	var digests []string
	for _, image := range images {
		digests = append(append(digests, image.Digest), image.Referrers...)
	}
	return target.Images.Delete(ctx, repository, digests...)
}

// askedFor returns the hashes of the images that the project's requests keep from removal.
func (r *Reconciler) askedFor(ctx context.Context, project *v1alpha1.ProjectImageCache, before time.Time) (map[string]bool, error) {
	asked, next := map[string]bool{}, ""
	for {
		// A list of its own for each page: decoding into a list that was used before writes into its items.
		var page v1alpha1.DevcontainerImageList
		err := r.Live.List(ctx, &page, client.InNamespace(project.Namespace), client.MatchingFields{"spec.projectRef.name": project.Name},
			client.Limit(requestPage), client.Continue(next))
		if err != nil {
			return nil, fmt.Errorf("list the project's requests: %w", err)
		}
		for n := range page.Items {
			addAsked(asked, &page.Items[n], before)
		}
		if next = page.Continue; next == "" {
			return asked, nil
		}
	}
}
