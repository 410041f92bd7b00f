package controllers

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
)

// announce tells what a pass did and what a persisted status changed, never the same twice.
func (r *ProjectImageCacheReconciler) announce(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts *projectFacts) {
	announceReady(r.Recorder, project, before.Conditions, project.Status.Conditions)
	if facts.invalidated > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "ImagesInvalidated", "DeleteImages",
			"removed %d images that were published before %s", facts.invalidated, project.Spec.InvalidatePushedBefore.UTC().Format(time.RFC3339))
	}
	if facts.repository == nil {
		return
	}
	switch {
	case facts.plan.create && before.Repository == nil:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryCreated", actionCreateRepository, "made repository %s", facts.desired.name)
	case facts.plan.adopt:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryAdopted", "AdoptRepository", "took over repository %s", facts.desired.name)
	}
}

// announceDrift tells what was not as it was left, each part once it is put right. A part that can't be is kept in mind:
// the pass that succeeds may not find it itself, because it does not read everything.
func (r *ProjectImageCacheReconciler) announceDrift(project *v1alpha1.ProjectImageCache, facts *projectFacts) {
	corrected, open := facts.corrected(r.openDrift(project.UID))
	r.keepDrift(project.UID, open)
	for _, found := range corrected {
		drift.WithLabelValues(project.Namespace, found.action).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, eventDriftCorrected, found.action,
			"repository %s was put right: %s", facts.desired.name, found.text)
	}
}

// corrected divides what was found, in this pass or an earlier one, into what is put right and what is not yet.
func (f *projectFacts) corrected(earlier []finding) (corrected, open []finding) {
	found := earlier
	if f.plan != nil {
		again := func(old finding) bool {
			return slices.ContainsFunc(f.plan.found, func(now finding) bool { return now.action == old.action })
		}
		found = append(slices.DeleteFunc(slices.Clone(earlier), again), f.plan.found...)
	}
	for _, one := range found {
		if f.repository == nil || f.errOf(one.action) != nil {
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
	case actionPutLifecyclePolicy:
		return f.lifecycleErr
	case actionSetRepositoryPolicy:
		return f.policyErr
	case actionSetTags, actionRemoveTags:
		return f.tagsErr
	}
	return f.repositoryErr
}

func (r *ProjectImageCacheReconciler) openDrift(uid types.UID) []finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drifted[uid]
}

func (r *ProjectImageCacheReconciler) keepDrift(uid types.UID, open []finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(open) == 0 {
		delete(r.drifted, uid)
		return
	}
	r.drifted[uid] = open
}
