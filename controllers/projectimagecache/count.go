package projectimagecache

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// invalidationRetry is how soon a failed removal of invalidated images is retried, because a person waits for it.
const invalidationRetry = 5 * time.Second

// count counts a project's images when a build was published since the last count, when the spec was edited, and once a
// day while the oldest image is about to expire, but after publications not more often than Intervals.Statistics. It
// removes the images that invalidatePushedBefore makes invalid. It returns when to count next; zero means after the next
// publication or sweep. A failed count is repeated later and does not hold up the project.
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
	if mayHoldInvalidated(project) || editedWithImages(project) {
		r.forgetCount(project.UID)
		retry = min(interval, invalidationRetry)
	}
	if made := r.countedBefore(project, interval, facts.now); made != nil {
		facts.statistics = made
		return 0
	}
	stay, invalidated, err := r.removeInvalidated(ctx, project, target, facts.desired.name)
	if err != nil {
		if aws.ClassOf(err) == aws.ClassAccessDenied {
			retry = max(retry, outcome.AccessDeniedRetry)
		}
		return r.countLater(ctx, project, facts, retry, err)
	}
	facts.invalidated = len(invalidated)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedInvalidated).Add(float64(facts.invalidated))
	facts.statistics = statistics(stay, project.Spec.RetentionInDays(), r.PricePerGBMonth, facts.now)
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

// removeInvalidated lists a project's images and removes those that were published before invalidatePushedBefore, with
// their referrers.
func (r *Reconciler) removeInvalidated(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, repository string) (stay, removed []ecr.Image, err error) {
	images, err := target.Images.List(ctx, repository)
	if err != nil {
		return nil, nil, err
	}
	stay, removed = splitInvalidated(project, images)
	var digests []string
	for _, image := range removed {
		digests = append(append(digests, image.Digest), image.Referrers...)
	}
	return stay, removed, target.Images.Delete(ctx, repository, digests...)
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
