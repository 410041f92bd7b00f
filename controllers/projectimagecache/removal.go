package projectimagecache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/internal/ecr"
)

// removalRetry is how soon the images are counted again if unused ones could not be removed, or not be told.
const removalRetry = time.Hour

// requestPage is how many requests one call to the API server reads.
const requestPage = 500

// removeUnwanted lists a project's images, removes those that are invalid or archived for too long, and returns the others.
func (r *Reconciler) removeUnwanted(
	ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts,
) ([]ecr.Image, error) {
	listed, err := target.Images.List(ctx, facts.desired.name)
	if err != nil {
		return nil, err
	}
	images := sortImages(project, listed, r.AWSClock.Now())
	invalidated, err := removeImages(ctx, target.Images, facts.desired.name, images.invalidated)
	facts.invalidated = len(invalidated)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedInvalidated).Add(float64(len(invalidated)))
	if err != nil {
		return nil, err
	}
	expired, err := removeImages(ctx, target.Images, facts.desired.name, images.expired)
	facts.expired = len(expired)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedExpired).Add(float64(facts.expired))
	if facts.invalidated+facts.expired > 0 {
		log.FromContext(ctx).Info("Removed images", "repository", facts.desired.name, "invalidated", facts.invalidated, "archivedAndExpired", facts.expired)
	}
	return images.stay, err
}

// removeUnused removes images that nobody used for spec.expireUnusedAfterDays, and returns the others, also with an error. The requests that
// keep an image are read from the API server: the manager's cache is behind, and keeps no hashes of finished requests. A
// pull that begins between that read and the removal fails, and its environment builds. The requests are read at each
// count, also if nothing can be unused yet, because they show whether ECR records pulls.
func (r *Reconciler) removeUnused(
	ctx context.Context, project *v1alpha1.ProjectImageCache, remover imageRemover, facts *projectFacts, images []ecr.Image,
) ([]ecr.Image, error) {
	enabled := enabledAt(project, facts)
	if enabled == nil {
		return images, nil
	}
	before := unusedBefore(project.Spec.ExpireUnusedAfterDays, enabled, r.AWSClock.Now())
	demand := newDemand(images, enabled.Time, before, facts.now)
	if err := r.readRequests(ctx, project, demand.add); err != nil {
		facts.countAgainIn = removalRetry
		return images, err
	}
	facts.unrecorded = demand.unrecorded
	if demand.recent {
		facts.countAgainIn = removalRetry
	}
	if before.IsZero() || demand.recent || demand.unrecorded != "" {
		return images, nil
	}
	unused, more := planUnused(images, demand.hashes, before, maxUnused)
	gone, err := removeImages(ctx, remover, facts.desired.name, unused)
	facts.unused = len(gone)
	switch {
	case err != nil:
		facts.countAgainIn = removalRetry
	case more:
		facts.countAgainIn = r.Intervals.Statistics
	}
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedUnused).Add(float64(len(gone)))
	return without(images, gone), err
}

// imageRemover removes images from a repository; *ecr.Images implements it.
type imageRemover interface {
	DeleteAll(ctx context.Context, repository string, digests []string) (gone []string, err error)
}

// removeImages removes images with their referrers, and returns those that are gone, also with an error. Referrers go
// first, because those of an image that is gone are not listed again: an image stays if one of its referrers does.
func removeImages(ctx context.Context, from imageRemover, repository string, images []ecr.Image) ([]ecr.Image, error) {
	var referrers, digests []string
	for _, image := range images {
		referrers = append(referrers, image.Referrers...)
	}
	gone, err := from.DeleteAll(ctx, repository, referrers)
	for _, image := range images {
		if !slices.ContainsFunc(image.Referrers, func(referrer string) bool { return !slices.Contains(gone, referrer) }) {
			digests = append(digests, image.Digest)
		}
	}
	gone, failed := from.DeleteAll(ctx, repository, digests)
	removed := slices.DeleteFunc(slices.Clone(images), func(image ecr.Image) bool { return !slices.Contains(gone, image.Digest) })
	return removed, cmp.Or(err, failed)
}

// readRequests calls a function for each of the project's requests.
func (r *Reconciler) readRequests(ctx context.Context, project *v1alpha1.ProjectImageCache, each func(*v1alpha1.DevcontainerImage)) error {
	next := ""
	for {
		// A list of its own for each page: decoding into a list that was used before writes into its items.
		var page v1alpha1.DevcontainerImageList
		err := r.Live.List(ctx, &page, client.InNamespace(project.Namespace), client.MatchingFields{"spec.projectRef.name": project.Name},
			client.Limit(requestPage), client.Continue(next))
		if err != nil {
			return fmt.Errorf("list the project's requests: %w", err)
		}
		for n := range page.Items {
			each(&page.Items[n])
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}
