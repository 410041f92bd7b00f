package devcontainerimage

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/publication"
)

// pass is one reconciliation of a request: what it read, the new status, and how the pass ended.
type pass struct {
	image   *v1alpha1.DevcontainerImage
	project *v1alpha1.ProjectImageCache
	runner  *v1alpha1.RunnerImageCache
	now     time.Time
	// inputs are the inputs of inline contents, if this pass computed their hash.
	inputs []publication.Input

	status v1alpha1.DevcontainerImageStatus
	end    ending
	next   time.Duration
}

// ending is how a pass ended.
type ending struct {
	// final means that the request is finished. reason and message are then those of Ready.
	final   bool
	reason  string
	message string
	// err is why the request is not ready: it waits, failed for good (terminal), or met an error of AWS or the
	// cluster.
	err error
	// publication is the fate of the builder's image, when it is known.
	publication *fate
}

// fate is whether a builder's image was published, and why.
type fate struct {
	published bool
	reason    string
	message   string
}

// finish ends the request with success: the answer is final.
func (p *pass) finish(reason, message string) {
	p.end.final, p.end.reason, p.end.message = true, reason, message
}

// fail ends the request without an image: the answer is final.
func (p *pass) fail(reason, message string) {
	p.end.final = true
	p.end.err = &outcome.TerminalError{Reason: reason, Message: message}
}

// handOver ends a request that has an image when credentials to pull it exist.
func (p *pass) handOver(reason, message string) error {
	credentials := projects.UsablePullCredentials(p.project, p.now)
	if credentials == nil {
		return outcome.Waitingf(v1alpha1.ReasonProgressing, 0, "%s; the controller is creating pull credentials", message)
	}
	p.status.PullCredentials = credentials
	p.status.SavedSeconds = savedSeconds(p.status.Image, p.image.Spec.Pull)
	p.finish(reason, message)
	return nil
}

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

// withLateReports adds to the status what the runner reports after the request is finished: the outcome of a pull,
// and a build that may not be published.
func (p *pass) withLateReports() *pass {
	p.status.ObservedGeneration = p.image.Generation
	if p.status.CacheResult == v1alpha1.CacheHit || p.status.Role == v1alpha1.RoleWaiter {
		p.status.SavedSeconds = savedSeconds(p.status.Image, p.image.Spec.Pull)
	}
	if pull := p.image.Spec.Pull; pull != nil {
		meta.SetStatusCondition(&p.status.Conditions, pulled(pull, p.image.Generation))
	}
	if p.image.Spec.Build != nil && meta.FindStatusCondition(p.status.Conditions, v1alpha1.ConditionPublished) == nil {
		meta.SetStatusCondition(&p.status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionPublished, Status: metav1.ConditionFalse, ObservedGeneration: p.image.Generation,
			Reason: v1alpha1.ReasonNotBuilder, Message: "the report came from a request that may not publish; the image is used where it was built",
		})
	}
	return p
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
