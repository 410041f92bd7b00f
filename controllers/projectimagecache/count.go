package projectimagecache

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
)

// invalidationRetry is how soon a failed removal of invalidated images is retried, because a person waits for it.
const invalidationRetry = 5 * time.Second

// count counts a project's images when a build was published since the last count or the oldest image has expired,
// but not more often than Intervals.Statistics. It removes the images that the project does not keep. It
// returns when to count next; zero means after the next publication. A failed count is repeated later and does not
// hold up the project.
func (r *Reconciler) count(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts) time.Duration {
	if facts.repository == nil {
		return 0
	}
	interval := r.Intervals.Statistics
	published, err := indexes.Requests(ctx, r.Client, project.Namespace, indexes.PublishedProject, project.Name)
	if err != nil {
		return r.countLater(ctx, project, facts, min(interval, invalidationRetry), err)
	}
	wait, wanted := countDue(project, published, facts.now, interval)
	if !wanted || wait > 0 {
		return wait
	}
	retry := interval
	if mayHoldInvalidated(project) {
		r.forgetCount(project.UID)
		retry = min(interval, invalidationRetry)
	}
	if made := r.countedBefore(project, interval, facts.now); made != nil {
		facts.statistics = made
		return 0
	}
	images, err := r.removeUnwanted(ctx, project, target, facts)
	if err != nil {
		if aws.ClassOf(err) == aws.ClassAccessDenied {
			retry = max(retry, outcome.AccessDeniedRetry)
		}
		return r.countLater(ctx, project, facts, retry, err)
	}
	facts.invalidated, facts.expired = len(images.invalidated), len(images.expired)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedInvalidated).Add(float64(facts.invalidated))
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedExpired).Add(float64(facts.expired))
	facts.statistics = statistics(images.stay, project.Spec.RetentionInDays(), r.PricePerGBMonth, facts.now)
	r.rememberCount(project.UID, facts.statistics)
	return 0
}

// countLater logs that the images could not be counted, and returns when to try again.
func (r *Reconciler) countLater(
	ctx context.Context, project *v1alpha1.ProjectImageCache, facts *projectFacts, retry time.Duration, err error,
) time.Duration {
	log.FromContext(ctx).Info("Could not count the images", "error", err.Error(), "after", retry.String())
	// If retentionDays changed as well, the earlier count may not show that images are invalid.
	facts.uncounted = mayHoldInvalidated(project)
	return retry
}

// removeUnwanted lists a project's images and removes those that it does not keep, with their referrers.
func (r *Reconciler) removeUnwanted(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts) (sorted, error) {
	listed, err := target.Images.List(ctx, facts.desired.name)
	if err != nil {
		return sorted{}, err
	}
	images := sortImages(project, listed, r.AWSClock.Now())
	var digests []string
	for _, image := range slices.Concat(images.invalidated, images.expired) {
		digests = append(append(digests, image.Digest), image.Referrers...)
	}
	if err := target.Images.Delete(ctx, facts.desired.name, digests...); err != nil || len(digests) == 0 {
		return images, err
	}
	log.FromContext(ctx).Info("Removed images", "repository", facts.desired.name,
		"invalidated", len(images.invalidated), "archivedAndExpired", len(images.expired))
	return images, nil
}

// countedBefore are the figures of an earlier pass that could not write its status.
func (r *Reconciler) countedBefore(project *v1alpha1.ProjectImageCache, interval time.Duration, now time.Time) *v1alpha1.ImageStatistics {
	r.mu.Lock()
	defer r.mu.Unlock()
	made := r.counted[project.UID]
	if made == nil || now.Sub(made.ReadAt.Time) >= interval {
		return nil
	}
	return made.DeepCopy()
}

func (r *Reconciler) forgetCount(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.counted, uid)
}

func (r *Reconciler) rememberCount(uid types.UID, made *v1alpha1.ImageStatistics) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted[uid] = made.DeepCopy()
}
