package devcontainerimage

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
)

// announce emits the events and metrics of a persisted status change, each once.
func (r *Reconciler) announce(image *v1alpha1.DevcontainerImage, before *v1alpha1.DevcontainerImageStatus) {
	after := &image.Status
	r.announceAnswer(image, before)
	if before.Role != after.Role && after.Role == v1alpha1.RoleBuilder {
		if tookOver(image, before) {
			metric.Takeovers.WithLabelValues(image.Namespace).Inc()
		}
		r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, "BecameBuilder", "Build", "environment %s builds the image%s", image.Spec.EnvironmentID, forService(image))
	}
	if granted := after.PushCredentials; granted != nil && (before.PushCredentials == nil || !before.PushCredentials.ExpiresAt.Equal(&granted.ExpiresAt)) {
		metric.Grants.WithLabelValues(image.Namespace, v1alpha1.CredentialsPush).Inc()
		metric.CredentialSeconds.WithLabelValues(v1alpha1.CredentialsPush).Observe(after.PushCredentials.ExpiresAt.Sub(r.AWSClock.Now()).Seconds())
		r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, "UploadGranted", "Grant", "upload rights exist until %s", after.PushCredentials.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if ended := before.FinishedAt == nil && after.FinishedAt != nil; ended && isPrebuild(image) {
		metric.Prebuilds.WithLabelValues(image.Namespace, prebuildOutcome(after)).Inc()
	} else if ended && after.Role == v1alpha1.RoleWaiter && after.Image != nil {
		metric.Coalesced.WithLabelValues(image.Namespace).Inc()
	}
	if hasFate(after) && !hasFate(before) {
		r.announceFate(image, meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionPublished))
	}
	if meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionPulled) == nil {
		r.announcePull(image)
	}
}

// announceAnswer emits the metrics and the event of the answer, or of the failed lookup.
func (r *Reconciler) announceAnswer(image *v1alpha1.DevcontainerImage, before *v1alpha1.DevcontainerImageStatus) {
	after := &image.Status
	if unknown := unknownReason(after); unknown != "" && unknownReason(before) == "" {
		metric.UnknownLookups.WithLabelValues(image.Namespace, unknown).Inc()
		r.Recorder.Eventf(image, nil, corev1.EventTypeWarning, unknown, "LookUp", "%s",
			meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionLookedUp).Message)
	}
	if before.CacheResult != "" || after.CacheResult == "" {
		return
	}
	if !isPrebuild(image) {
		metric.Lookups.WithLabelValues(image.Namespace, string(after.CacheResult), after.Reason).Inc()
	}
	// Only the status shows hits and waiters: an event would be one more write for each environment.
	if after.CacheResult == v1alpha1.CacheMiss && after.Role != v1alpha1.RoleWaiter {
		r.Recorder.Eventf(image, nil, corev1.EventTypeNormal, string(after.CacheResult), "LookUp", "%s", after.Explanation)
	}
}

// prebuildOutcome returns what a finished prebuild came to.
func prebuildOutcome(status *v1alpha1.DevcontainerImageStatus) string {
	published := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPublished)
	switch {
	case status.Image == nil:
		return metric.PrebuildFailed
	case published != nil && published.Status == metav1.ConditionTrue:
		return metric.PrebuildPublished
	}
	return metric.PrebuildPresent
}

// unknownReason returns why a request's lookup failed. It returns "" if the lookup did not fail: the request has an
// answer, or waits for something ordinary that the lookup needs.
func unknownReason(status *v1alpha1.DevcontainerImageStatus) string {
	looked := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionLookedUp)
	if looked == nil || looked.Status != metav1.ConditionFalse {
		return ""
	}
	switch looked.Reason {
	case v1alpha1.ReasonProgressing, v1alpha1.ReasonWaitingForProject, v1alpha1.ReasonWaitingForRunner:
		return ""
	}
	return looked.Reason
}

// tookOver reports whether a request became the builder after another one. It is false for the first builder, which
// may become it in two steps.
func tookOver(image *v1alpha1.DevcontainerImage, before *v1alpha1.DevcontainerImageStatus) bool {
	return before.Role == v1alpha1.RoleWaiter && before.Builder != nil && before.Builder.Name != image.Name
}

// hasFate reports whether the condition Published of a status is final: the request is finished and has one.
func hasFate(status *v1alpha1.DevcontainerImageStatus) bool {
	return status.FinishedAt != nil && meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPublished) != nil
}

// announceFate emits the event and the metrics of a build's publication or rejection.
func (r *Reconciler) announceFate(image *v1alpha1.DevcontainerImage, published *metav1.Condition) {
	message := published.Message
	metric.Builds.WithLabelValues(image.Namespace, published.Reason).Inc()
	if build := image.Spec.Build; build != nil && build.DurationSeconds != nil {
		metric.BuildSeconds.WithLabelValues(string(build.Outcome)).Observe(float64(*build.DurationSeconds))
	}
	if published.Status == metav1.ConditionTrue {
		metric.PublishedBytes.WithLabelValues(image.Namespace).Add(float64(sizeOf(image)))
		if image.Status.ReplacesDigest != "" {
			metric.ImagesRemoved.WithLabelValues(image.Namespace, metric.RemovedReplaced).Inc()
			message += ", replacing " + image.Status.ReplacesDigest
		}
	}
	kind := corev1.EventTypeNormal
	if published.Status != metav1.ConditionTrue && published.Reason != v1alpha1.ReasonAdopted && image.Status.Role == v1alpha1.RoleBuilder {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(image, nil, kind, published.Reason, "Publish", "%s", message)
}

// announcePull emits the metrics and the event of a pull that a runner reported.
func (r *Reconciler) announcePull(image *v1alpha1.DevcontainerImage) {
	pulled, report := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionPulled), image.Spec.Pull
	if pulled == nil || report == nil {
		return
	}
	metric.Pulls.WithLabelValues(image.Namespace, string(report.Outcome)).Inc()
	if report.DurationSeconds != nil {
		metric.PullSeconds.Observe(float64(*report.DurationSeconds))
	}
	if pulled.Status != metav1.ConditionTrue {
		r.Recorder.Eventf(image, nil, corev1.EventTypeWarning, pulled.Reason, "Pull", "%s", pulled.Message)
		return
	}
	metric.PulledBytes.WithLabelValues(image.Namespace).Add(float64(sizeOf(image)))
	if seconds := image.Status.SavedSeconds; seconds != nil {
		metric.Saved.WithLabelValues(image.Namespace).Add(float64(*seconds))
	}
}

// sizeOf returns the compressed size of a request's image in bytes.
func sizeOf(image *v1alpha1.DevcontainerImage) int64 {
	if image.Status.Image == nil || image.Status.Image.SizeBytes == nil {
		return 0
	}
	return *image.Status.Image.SizeBytes
}
