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
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// invalidationRetry is how long after a failed removal of invalidated images the next try comes: a person waits for it.
const invalidationRetry = 5 * time.Second

// count reads how many images a project has, once something was published since the last time or the oldest has expired,
// and not more often than Intervals.Statistics; and removes those that invalidatePushedBefore makes invalid. It returns when
// to count next; zero means when something is published. Figures are no reason to hold up a project: a count that fails
// is made again later.
func (r *Reconciler) count(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts) time.Duration {
	if facts.repository == nil {
		return 0
	}
	published, err := indexes.Requests(ctx, r.Client, project.Namespace, indexes.PublishedProject, project.Name)
	if err != nil {
		return 0
	}
	interval := r.Intervals.Statistics
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
	stay, invalidated, err := r.removeInvalidated(ctx, project, target, facts.desired.name)
	if err != nil {
		if aws.ClassOf(err) == aws.ClassAccessDenied {
			retry = max(retry, outcome.AccessDeniedRetry)
		}
		log.FromContext(ctx).Info("Did not count the images", "error", err.Error(), "after", retry.String())
		// What was counted before may not tell any more that images are invalid, if retentionDays was changed as well.
		facts.uncounted = mayHoldInvalidated(project)
		return retry
	}
	facts.invalidated = len(invalidated)
	metric.ImagesRemoved.WithLabelValues(project.Namespace, metric.RemovedInvalidated).Add(float64(facts.invalidated))
	facts.statistics = statistics(stay, projects.RetentionDays(project), r.PricePerGBMonth, facts.now)
	r.rememberCount(project.UID, facts.statistics)
	return 0
}

// removeInvalidated lists a project's images and removes those that were published too early.
func (r *Reconciler) removeInvalidated(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, repository string) (stay []ecr.Image, removed []string, err error) {
	images, err := target.Images.List(ctx, repository)
	if err != nil {
		return nil, nil, err
	}
	stay, removed = splitInvalidated(project, images)
	return stay, removed, target.Images.Delete(ctx, repository, removed...)
}

// countedBefore are figures that were read in an earlier pass whose status could not be written.
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
