package projectimagecache

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
)

// sweepRetry is how soon a failed sweep is retried. It is short for work that runs once a day, and long enough that a
// missing permission does not make every project call AWS all the time.
func (r *Reconciler) sweepRetry() time.Duration { return r.Intervals.Sweep / 24 }

// sweepDue returns when a project's policies are read next. After a restart the program has no memory of earlier
// sweeps, so it spreads them: each object has its own place in the interval.
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

// nextSweep returns when a project's policies are read after a pass in which they were due.
func (r *Reconciler) nextSweep(project *v1alpha1.ProjectImageCache, due time.Time, facts *projectFacts) time.Time {
	switch {
	case facts.sweepErr != nil:
		return facts.now.Add(r.sweepRetry())
	case facts.swept:
		return facts.now.Add(schedule.Jittered(r.Intervals.Sweep, project.UID))
	}
	return due
}

// noteSweep records when a project's policies are read next, and emits an event if they could not be read.
func (r *Reconciler) noteSweep(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	if facts.sweepErr != nil {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, eventDriftNotSeen, "ReadPolicies",
			"the controller can't compare the repository's policies with their desired state: %s", aws.Message(facts.sweepErr))
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
	delete(r.again, uid)
}
