package projectimagecache

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/controllers/notice"
)

// announce tells what a pass did and what a persisted status changed, never the same twice.
func (r *Reconciler) announce(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts *projectFacts) {
	notice.Ready(r.Recorder, project, before.Conditions, project.Status.Conditions)
	if facts.invalidated > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "ImagesInvalidated", "DeleteImages",
			"removed %d images that were published before %s", facts.invalidated, project.Spec.InvalidatePushedBefore.UTC().Format(time.RFC3339))
	}
	if facts.repository == nil {
		return
	}
	switch {
	case facts.plan.create && before.Repository == nil:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryCreated", drift.ActionCreateRepository, "made repository %s", facts.desired.name)
	case facts.plan.adopt:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryAdopted", "AdoptRepository", "took over repository %s", facts.desired.name)
	}
}

// announceDrift tells what was not as it was left, each part once it is put right. A part that can't be is kept in mind:
// the pass that succeeds may not find it itself, because it does not read everything.
func (r *Reconciler) announceDrift(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	corrected, open := facts.corrected(r.openDrift(project.UID))
	r.keepDrift(project.UID, open)
	for _, found := range corrected {
		metric.Drift.WithLabelValues(project.Namespace, found.Action).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, drift.EventCorrected, found.Action,
			"repository %s was put right: %s", facts.desired.name, found.Text)
	}
}

// corrected divides what was found, in this pass or an earlier one, into what is put right and what is not yet.
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

// errOf is why what an action does is not done.
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
