package controllers

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"imagecache.dev/api/v1alpha1"
)

// announce tells what a pass did and what a persisted status changed, never the same twice. Drift is told once all of
// it is put right.
func (r *ProjectImageCacheReconciler) announce(project *v1alpha1.ProjectImageCache, before *v1alpha1.ProjectImageCacheStatus, facts *projectFacts) {
	announceReady(r.Recorder, project, before.Conditions, project.Status.Conditions)
	if facts.invalidated > 0 {
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "ImagesInvalidated", "DeleteImages",
			"removed %d images that were published before %s", facts.invalidated, project.Spec.InvalidatePushedBefore.UTC().Format(time.RFC3339))
	}
	if facts.repository == nil || facts.plan.empty() {
		return
	}
	name := facts.desired.name
	switch {
	case facts.plan.create && before.Repository == nil:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryCreated", actionCreateRepository, "made repository %s", name)
	case facts.plan.adopt:
		r.Recorder.Eventf(project, nil, corev1.EventTypeNormal, "RepositoryAdopted", "AdoptRepository", "took over repository %s", name)
	}
	if facts.err() != nil {
		return
	}
	for _, found := range facts.plan.found {
		drift.WithLabelValues(project.Namespace, found.action).Inc()
		r.Recorder.Eventf(project, nil, corev1.EventTypeWarning, eventDriftCorrected, found.action, "repository %s was put right: %s", name, found.text)
	}
}
