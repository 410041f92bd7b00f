package controllers

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// announce tells, in events and metrics, what a persisted status changed; never the same twice.
func (r *DevcontainerImageReconciler) announce(image *v1alpha1.DevcontainerImage, before *v1alpha1.DevcontainerImageStatus) {
	after := &image.Status
	if before.CacheResult == "" && after.CacheResult != "" {
		lookups.WithLabelValues(string(after.CacheResult), after.Reason).Inc()
		if seconds := r.Clock.Since(image.CreationTimestamp.Time).Seconds(); seconds >= 0 {
			answerSeconds.WithLabelValues(string(after.CacheResult)).Observe(seconds)
		}
		// Hits and waiters are told by their status alone: an event would be one more write for each environment.
		if after.CacheResult == v1alpha1.CacheMiss && after.Role != v1alpha1.RoleWaiter {
			r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, string(after.CacheResult), "LookUp", "%s", after.Explanation)
		}
	}
	if before.Role != after.Role && after.Role == v1alpha1.RoleBuilder {
		r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, "BecameBuilder", "Build", "environment %s builds the image", image.Spec.EnvironmentID)
	}
	if before.PushCredentials == nil && after.PushCredentials != nil {
		pushGrants.Inc()
		r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, "UploadGranted", "Grant", "upload rights exist until %s", after.PushCredentials.ExpiresAt.UTC().Format(time.RFC3339))
	}
	r.announceFate(image, before)
	if after.FinishedAt != nil && before.FinishedAt == nil && after.SavedSeconds != nil {
		saved.Add(float64(*after.SavedSeconds))
	}
}

// announceFate tells how a build ended for the cache.
func (r *DevcontainerImageReconciler) announceFate(image *v1alpha1.DevcontainerImage, before *v1alpha1.DevcontainerImageStatus) {
	if before.FinishedAt != nil || image.Status.FinishedAt == nil {
		return
	}
	condition := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionPublished)
	if condition == nil {
		return
	}
	builds.WithLabelValues(condition.Reason).Inc()
	kind := corev1.EventTypeNormal
	if condition.Status != metav1.ConditionTrue && condition.Reason != v1alpha1.ReasonAdopted {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(image, nil, kind, condition.Reason, "Publish", "%s", fmt.Sprint(condition.Message))
}
