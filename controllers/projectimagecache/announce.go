package projectimagecache

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/notice"
	"imagecache.dev/internal/aws"
)

// announce emits the events of a persisted status change, each once, and those about what a pass found or could not do.
func (r *Reconciler) announce(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts *projectFacts) {
	notice.Ready(r.Recorder, project, before.Conditions, project.Status.Conditions)
	if facts.unrecorded != "" {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, "PullsNotRecorded", "CountImages",
			"an environment pulled %s, and ECR has no record of it: no image counts as unused for %d days from now; "+
				"remove the runner's pull role from ECR's pull time update exclusions",
			facts.unrecorded, ptr.Deref(project.Spec.ExpireUnusedAfterDays, 0))
	}
	if facts.unusedErr != nil {
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, "UnusedImagesNotRemoved", "DeleteImages",
			"can't remove the images that nobody pulled for %d days: %s", ptr.Deref(project.Spec.ExpireUnusedAfterDays, 0), aws.Message(facts.unusedErr))
	}
}

// announceDone emits the events about what a pass did in AWS. They don't wait for the status: if it meets a conflict, the
// next pass finds everything done and has nothing to tell.
func (r *Reconciler) announceDone(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	r.announceDrift(project, facts)
	if facts.invalidated > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "ImagesInvalidated", "DeleteImages",
			"removed %d images that were published before %s", facts.invalidated, project.Spec.InvalidatePushedBefore.UTC().Format(time.RFC3339))
	}
	if facts.unused > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "UnusedImagesRemoved", "DeleteImages",
			"removed %d images that nobody pulled for %d days", facts.unused, ptr.Deref(project.Spec.ExpireUnusedAfterDays, 0))
	}
	if facts.expired > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "ImagesExpired", "DeleteImages",
			"removed %d archived images that are older than %d days", facts.expired, project.Spec.RetentionInDays())
	}
	switch {
	case facts.repository == nil:
	case facts.plan.create && project.Status.Repository == nil:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryCreated", drift.ActionCreateRepository, "created repository %s", facts.desired.name)
	case facts.plan.adopt && facts.tagsErr == nil:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryAdopted", "AdoptRepository", "adopted repository %s", facts.desired.name)
	}
}

// announceDrift emits an event for each difference that was corrected. It remembers the differences that could not be
// corrected, because the pass that corrects them may not read everything and so may not find them.
func (r *Reconciler) announceDrift(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	corrected, open := facts.corrected(r.openDrift(project.UID))
	r.keepDrift(project.UID, open)
	for _, found := range corrected {
		metric.Drift.WithLabelValues(project.Namespace, found.Action).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, drift.EventCorrected, found.Action,
			"corrected repository %s: %s", facts.desired.name, found.Text)
	}
}

// corrected splits the differences of this pass and of earlier passes into corrected and uncorrected ones.
func (f *projectFacts) corrected(earlier []drift.Finding) (corrected, open []drift.Finding) {
	found := earlier
	if f.plan != nil {
		again := func(old drift.Finding) bool {
			return slices.ContainsFunc(f.plan.found, func(now drift.Finding) bool { return now.Action == old.Action })
		}
		found = append(slices.DeleteFunc(slices.Clone(earlier), again), f.plan.found...)
	}
	for _, one := range found {
		if f.repository == nil || f.errOf(one.Action) != nil {
			open = append(open, one)
		} else {
			corrected = append(corrected, one)
		}
	}
	return corrected, open
}

// errOf returns why an action failed.
func (f *projectFacts) errOf(action string) error {
	switch action {
	case drift.ActionPutLifecyclePolicy:
		return f.lifecycleErr
	case drift.ActionSetRepositoryPolicy:
		return f.policyErr
	case drift.ActionSetTags, drift.ActionRemoveTags:
		return f.tagsErr
	}
	return f.repositoryErr
}

func (r *Reconciler) openDrift(uid types.UID) []drift.Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drifted[uid]
}

func (r *Reconciler) keepDrift(uid types.UID, open []drift.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(open) == 0 {
		delete(r.drifted, uid)
		return
	}
	r.drifted[uid] = open
}
