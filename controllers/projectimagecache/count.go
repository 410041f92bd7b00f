package projectimagecache

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
)

// invalidationRetry is how soon a failed removal of invalidated images is retried, because a person waits for it.
const invalidationRetry = 5 * time.Second

// count counts a project's images when a build was published since the last count, when the spec was edited, and once a
// day while the oldest image is about to expire, but after publications not more often than Intervals.Statistics. It
// removes the images that the project does not keep, and those that expireUnusedAfterDays makes expire. It returns when to
// count next; zero means after the next publication or sweep. A failed count is repeated later and does not hold up the
// project.
func (r *Reconciler) count(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awstarget.Target, facts *projectFacts) time.Duration {
	if facts.repository == nil {
		return 0
	}
	interval := r.Intervals.Statistics
	published, err := indexes.Requests(ctx, r.Client, project.Namespace, indexes.PublishedProject, project.Name)
	if err != nil {
		return r.countLater(ctx, project, facts, min(interval, invalidationRetry), err)
	}
	wait, wanted := countDue(project, published, r.againAt(project.UID), facts.now, interval)
	if !wanted || wait > 0 {
		return wait
	}
	retry := interval
	if mayHoldInvalidated(project) {
		retry = min(interval, invalidationRetry)
	}
	if mayHoldInvalidated(project) || editedWithImages(project) {
		r.forgetCount(project.UID)
	}
	if made := r.countedBefore(project, interval, facts.now); made != nil {
		facts.counted, facts.statistics = true, made
		return r.nextCount(project, facts.now)
	}
	images, err := r.removeUnwanted(ctx, project, target, facts)
	if err != nil {
		if aws.ClassOf(err) == aws.ClassAccessDenied {
			retry = max(retry, outcome.AccessDeniedRetry)
		}
		return r.countLater(ctx, project, facts, retry, err)
	}
	facts.counted = true
	// Unused images that can't be removed now stay until the next count, and hold up nothing.
	images, facts.unusedErr = r.removeUnused(ctx, project, target.Images, facts, images)
	facts.statistics = statistics(images, project.Spec.RetentionInDays(), r.PricePerGBMonth, facts.now)
	facts.statistics.ObservedGeneration = project.Generation
	r.rememberCount(project.UID, facts)
	return r.nextCount(project, facts.now)
}

// nextCount returns when to count after a count that was made: soon if unused images may be left, and in time for the
// next one to show that the manager ran meanwhile. Zero means after the next publication or sweep.
func (r *Reconciler) nextCount(project *v1alpha1.ProjectImageCache, now time.Time) time.Duration {
	switch again := r.againAt(project.UID); {
	case !again.IsZero():
		return max(again.Sub(now), time.Second)
	case project.Spec.ExpireUnusedAfterDays != nil:
		return recountUnused
	}
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

// rememberCount keeps the figures of a pass, and when the images are counted again. Figures with a pull that ECR did not
// record are not kept: the status that says so must be written with them.
func (r *Reconciler) rememberCount(uid types.UID, facts *projectFacts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.again, uid)
	delete(r.counted, uid)
	if facts.unrecorded == "" {
		r.counted[uid] = facts.statistics.DeepCopy()
	}
	if facts.countAgainIn > 0 {
		r.again[uid] = facts.now.Add(facts.countAgainIn)
	}
}

// againAt returns when a project's images are counted again because unused ones may be left. Zero means no time.
func (r *Reconciler) againAt(uid types.UID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.again[uid]
}
