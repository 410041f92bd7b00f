package devcontainerimage

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/outcome"
)

// statusFor computes the status from the facts of a pass.
func statusFor(p *pass) v1alpha1.DevcontainerImageStatus {
	status := p.status
	status.ObservedGeneration = p.image.Generation
	f := conditions.For(p.image.Generation)
	if status.CacheResult != "" {
		f.Is(v1alpha1.ConditionLookedUp, metav1.ConditionTrue, string(status.CacheResult), status.Explanation)
	} else {
		reason, message := lookupFailure(p.end.err)
		f.Is(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, reason, message)
	}
	publicationFacts(f, p)
	pushFacts(f, p)
	if p.end.final && p.end.err == nil {
		f.Summary(nil, p.end.reason, p.end.message)
	} else {
		f.Summary(p.end.err, "", "")
	}
	if p.end.final && status.FinishedAt == nil {
		status.FinishedAt = metaTime(p.now)
	}
	status.Conditions = f.ApplyTo(p.image.Status.Conditions)
	return status
}

// lateStatus computes the status of a finished request from what its runner reported afterwards: the outcome of a
// pull, and a build that may not be published.
func lateStatus(image *v1alpha1.DevcontainerImage) v1alpha1.DevcontainerImageStatus {
	status := *image.Status.DeepCopy()
	status.ObservedGeneration = image.Generation
	if !isPrebuild(image) && (status.CacheResult == v1alpha1.CacheHit || status.Role == v1alpha1.RoleWaiter) {
		status.SavedSeconds = savedSeconds(status.Image, image.Spec.Pull)
	}
	if pull := image.Spec.Pull; pull != nil {
		meta.SetStatusCondition(&status.Conditions, pulled(pull, image.Generation))
	}
	if image.Spec.Build != nil && meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPublished) == nil {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionPublished, Status: metav1.ConditionFalse, ObservedGeneration: image.Generation,
			Reason: v1alpha1.ReasonNotBuilder, Message: "the report came from a request that may not publish; the image is used where it was built",
		})
	}
	return status
}

// pulled returns the condition for a report of a pull.
func pulled(pull *v1alpha1.PullReport, generation int64) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionPulled, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: v1alpha1.ReasonSucceeded, Message: "the runner pulled the image",
	}
	if pull.Outcome != v1alpha1.PullSucceeded {
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonPullFailed
		condition.Message = "the runner could not pull the image"
		if pull.Message != "" {
			condition.Message = conditions.Shorten(pull.Message)
		}
	}
	return condition
}

// lookupFailure returns the reason and the message of a failed lookup. A wait keeps its own reason.
func lookupFailure(err error) (reason, message string) {
	if err == nil {
		return v1alpha1.ReasonProgressing, "the lookup has not finished yet"
	}
	var waiting *outcome.WaitingError
	reason, message = outcome.Reason(err)
	if !errors.As(err, &waiting) && reason == v1alpha1.ReasonAWSError {
		reason = v1alpha1.ReasonLookupFailed
	}
	return reason, message
}

func publicationFacts(f *conditions.Facts, p *pass) {
	if p.status.Role != v1alpha1.RoleBuilder && p.end.publication == nil {
		return
	}
	if end := p.end.publication; end != nil {
		status := metav1.ConditionFalse
		if end.published {
			status = metav1.ConditionTrue
		}
		f.Is(v1alpha1.ConditionPublished, status, end.reason, end.message)
		return
	}
	if p.end.err != nil {
		reason, message := outcome.Reason(p.end.err)
		f.Is(v1alpha1.ConditionPublished, metav1.ConditionFalse, reason, message)
	}
}

func pushFacts(f *conditions.Facts, p *pass) {
	if credentials := p.status.PushCredentials; credentials != nil {
		f.Is(v1alpha1.ConditionPushCredentialsRemoved, metav1.ConditionFalse, v1alpha1.ReasonGranted,
			"upload rights exist until "+credentials.ExpiresAt.UTC().Format(time.RFC3339))
		return
	}
	if meta.FindStatusCondition(p.image.Status.Conditions, v1alpha1.ConditionPushCredentialsRemoved) != nil || p.image.Status.PushCredentials != nil {
		f.Is(v1alpha1.ConditionPushCredentialsRemoved, metav1.ConditionTrue, v1alpha1.ReasonRemoved, "the controller removed the upload rights")
	}
}
