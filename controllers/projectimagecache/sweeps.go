package projectimagecache

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
)

// sweepRetry is how long after a sweep that failed the next one comes: soon for something that is done once a day, and
// seldom enough that a permission which is missing doesn't make every project ask all the time.
func (r *Reconciler) sweepRetry() time.Duration { return r.Intervals.Sweep / 24 }

// sweepDue is when a project's policies are to be read next. What the program doesn't remember, it spreads: each object
// has its own place in the interval, so that a restart doesn't read all policies at once.
func (r *Reconciler) sweepDue(project *v1alpha1.ProjectImageCache) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, ok := r.sweeps[project.UID]
	if !ok {
		due = r.Clock.Now().Add(time.Duration(schedule.Share(project.UID) * float64(r.Intervals.Sweep)))
		r.sweeps[project.UID] = due
	}
	return due
}

// nextSweep is when a project's policies are to be read after a pass that found them due as told.
func (r *Reconciler) nextSweep(project *v1alpha1.ProjectImageCache, due time.Time, facts *projectFacts) time.Time {
	switch {
	case facts.sweepErr != nil:
		return facts.now.Add(r.sweepRetry())
	case facts.swept:
		return facts.now.Add(schedule.Jittered(r.Intervals.Sweep, project.UID))
	}
	return due
}

// noteSweep remembers when a project's policies are to be read next, and tells where they could not be.
func (r *Reconciler) noteSweep(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	if facts.sweepErr != nil {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, eventDriftNotSeen, "ReadPolicies",
			"the repository's policies are not compared with what is wanted of them: %s", aws.Message(facts.sweepErr))
	}
	due := r.nextSweep(project, r.sweepDue(project), facts)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps[project.UID] = due
}

func (r *Reconciler) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sweeps, uid)
	delete(r.counted, uid)
	delete(r.drifted, uid)
}
