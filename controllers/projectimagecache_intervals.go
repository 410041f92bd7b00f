package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
)

func (r *ProjectImageCacheReconciler) driftInterval() time.Duration {
	return orDefault(r.DriftInterval, 5*time.Minute)
}

func (r *ProjectImageCacheReconciler) sweepInterval() time.Duration {
	return orDefault(r.SweepInterval, 24*time.Hour)
}

// sweepDue is when a project's policies are to be read next. What the program doesn't remember, it spreads: each object
// has its own place in the interval, so that a restart doesn't read all policies at once.
func (r *ProjectImageCacheReconciler) sweepDue(project *v1alpha1.ProjectImageCache) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.swept[project.UID]; ok {
		return last.Add(jittered(r.sweepInterval(), project.UID))
	}
	first := r.Clock.Now().Add(-time.Duration((1 - share(project.UID)) * float64(r.sweepInterval())))
	r.swept[project.UID] = first
	return first.Add(r.sweepInterval())
}

func (r *ProjectImageCacheReconciler) markSwept(uid types.UID, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swept[uid] = at
}

func (r *ProjectImageCacheReconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.swept, uid)
	delete(r.counted, uid)
}

// count reads how many images a project has, once something was published since the last time or the oldest has expired,
// and not more often than StatisticsInterval; and removes those that invalidatePushedBefore makes invalid. It returns when to count next; zero means when something is published.
// Figures are no reason to hold up a project: a count that fails is made again later.
func (r *ProjectImageCacheReconciler) count(ctx context.Context, project *v1alpha1.ProjectImageCache, target *awsTarget, facts *projectFacts) time.Duration {
	if facts.repository == nil {
		return 0
	}
	published, err := listRequests(ctx, r.Client, project.Namespace, indexPublishedProject, project.Name)
	if err != nil {
		return 0
	}
	interval := orDefault(r.StatisticsInterval, time.Minute)
	wait, wanted := countDue(project, published, facts.now, interval)
	if !wanted || wait > 0 {
		return wait
	}
	if mayHoldInvalidated(project) {
		r.forgetCount(project.UID)
	}
	if made := r.countedBefore(project, interval, facts.now); made != nil {
		facts.statistics = made
		return 0
	}
	images, err := target.images.List(ctx, facts.desired.name)
	if err != nil {
		return interval
	}
	stay, invalidated := splitInvalidated(project, images)
	if err := target.images.Delete(ctx, facts.desired.name, invalidated...); err != nil {
		return interval
	}
	facts.invalidated = len(invalidated)
	imagesRemoved.WithLabelValues(project.Namespace, removedInvalidated).Add(float64(facts.invalidated))
	facts.statistics = statistics(stay, retentionDaysOf(project), r.PricePerGBMonth, facts.now)
	r.rememberCount(project.UID, facts.statistics)
	return 0
}

// countedBefore are figures that were read in an earlier pass whose status could not be written.
func (r *ProjectImageCacheReconciler) countedBefore(project *v1alpha1.ProjectImageCache, interval time.Duration, now time.Time) *v1alpha1.ImageStatistics {
	r.mu.Lock()
	defer r.mu.Unlock()
	made := r.counted[project.UID]
	if made == nil || now.Sub(made.ReadAt.Time) >= interval {
		return nil
	}
	return made.DeepCopy()
}

func (r *ProjectImageCacheReconciler) forgetCount(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.counted, uid)
}

func (r *ProjectImageCacheReconciler) rememberCount(uid types.UID, made *v1alpha1.ImageStatistics) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted[uid] = made.DeepCopy()
}
