package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
)

func (r *ProjectImageCacheReconciler) driftInterval() time.Duration {
	return orDefault(r.DriftInterval, 5*time.Minute)
}

func (r *ProjectImageCacheReconciler) sweepInterval() time.Duration {
	return orDefault(r.SweepInterval, 24*time.Hour)
}

// sweepRetry is how long after a sweep that failed the next one comes: soon for something that is done once a day, and
// seldom enough that a permission which is missing doesn't make every project ask all the time.
func (r *ProjectImageCacheReconciler) sweepRetry() time.Duration { return r.sweepInterval() / 24 }

// sweepDue is when a project's policies are to be read next. What the program doesn't remember, it spreads: each object
// has its own place in the interval, so that a restart doesn't read all policies at once.
func (r *ProjectImageCacheReconciler) sweepDue(project *v1alpha1.ProjectImageCache) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, ok := r.sweeps[project.UID]
	if !ok {
		due = r.Clock.Now().Add(time.Duration(share(project.UID) * float64(r.sweepInterval())))
		r.sweeps[project.UID] = due
	}
	return due
}

// nextSweep is when a project's policies are to be read after a pass that found them due as told.
func (r *ProjectImageCacheReconciler) nextSweep(project *v1alpha1.ProjectImageCache, due time.Time, facts *projectFacts) time.Time {
	switch {
	case facts.sweepErr != nil:
		return facts.now.Add(r.sweepRetry())
	case facts.swept:
		return facts.now.Add(jittered(r.sweepInterval(), project.UID))
	}
	return due
}

// noteSweep remembers when a project's policies are to be read next, and tells where they could not be.
func (r *ProjectImageCacheReconciler) noteSweep(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	if facts.sweepErr != nil {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, eventDriftNotSeen, "ReadPolicies",
			"the repository's policies are not compared with what is wanted of them: %s", aws.Message(facts.sweepErr))
	}
	due := r.nextSweep(project, r.sweepDue(project), facts)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps[project.UID] = due
}

func (r *ProjectImageCacheReconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sweeps, uid)
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
