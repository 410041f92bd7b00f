package runner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// step is what the runner does next.
type step string

const (
	// stepAwaitAnswer: the cache has not answered yet.
	stepAwaitAnswer step = "AwaitAnswer"
	// stepAwaitImage: the answer is a hit, and something that the pull needs does not exist yet.
	stepAwaitImage step = "AwaitImage"
	// stepAwaitBuilder: another environment builds the image.
	stepAwaitBuilder step = "AwaitBuilder"
	// stepPull: pull the cached image. A prebuild has nothing more to do.
	stepPull step = "Pull"
	// stepBuildAndPublish: build the image, hold the Lease meanwhile, and publish.
	stepBuildAndPublish step = "BuildAndPublish"
	// stepBuild: build the image for this environment only.
	stepBuild step = "Build"
)

// decision is a step, and the sentence that tells why.
type decision struct {
	Step step
	Why  string
}

// decide returns what the status of a request asks the runner to do.
func decide(image *v1alpha1.DevcontainerImage) decision {
	status := image.Status
	switch status.CacheResult {
	case v1alpha1.CacheHit:
		return decideImage(image, stepAwaitImage)
	case v1alpha1.CacheBypassed:
		return decision{
			stepBuild, explained(status.Reason, status.Explanation, "the cache does not apply to this environment"),
		}
	case v1alpha1.CacheMiss:
		return decideMiss(image)
	}
	if stalled := condition(image, v1alpha1.ConditionStalled, metav1.ConditionTrue); stalled != nil {
		return decision{stepBuild, explained(stalled.Reason, stalled.Message, "the cache can't answer")}
	}
	if failed := condition(image, v1alpha1.ConditionLookedUp, metav1.ConditionFalse); failed != nil {
		return decision{stepAwaitAnswer, explained(failed.Reason, failed.Message, "the lookup failed")}
	}
	return decision{Step: stepAwaitAnswer}
}

func decideMiss(image *v1alpha1.DevcontainerImage) decision {
	status := image.Status
	why := explained(status.Reason, status.Explanation, "no image is cached for this configuration")
	switch status.Role {
	case v1alpha1.RoleBuilder:
		if status.Builder == nil {
			return decision{stepAwaitAnswer, why}
		}
		return decision{stepBuildAndPublish, why}
	case v1alpha1.RoleWaiter:
		return decideImage(image, stepAwaitBuilder)
	case v1alpha1.RoleLocalBuild:
		return decision{stepBuild, why}
	}
	return decision{stepAwaitAnswer, why}
}

// decideImage returns the step to pull a promised image, or to wait until it can be pulled.
func decideImage(image *v1alpha1.DevcontainerImage, wait step) decision {
	if stalled := condition(image, v1alpha1.ConditionStalled, metav1.ConditionTrue); stalled != nil {
		return decision{stepBuild, explained(stalled.Reason, stalled.Message, "the cached image is not available")}
	}
	ready := meta.FindStatusCondition(image.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		if ready == nil {
			return decision{Step: wait}
		}
		return decision{wait, explained(ready.Reason, ready.Message, "")}
	}
	pulls := image.Spec.Trigger != v1alpha1.TriggerPrebuild
	if image.Status.Image == nil || pulls && image.Status.PullCredentials == nil {
		if image.Status.FinishedAt != nil {
			return decision{stepBuild, explained(ready.Reason, ready.Message, "the cache ended without an image")}
		}
		return decision{Step: wait}
	}
	return decision{stepPull, explained(image.Status.Reason, image.Status.Explanation, "")}
}

// publishing is the progress of a publication.
type publishing string

const (
	// publishAwait: the controller is working.
	publishAwait publishing = "Await"
	// publishUpload: upload what the status lists.
	publishUpload publishing = "Upload"
	// publishDone: the image is in the cache.
	publishDone publishing = "Done"
	// publishRefused: this image will not be published.
	publishRefused publishing = "Refused"
)

// publishDecision is the progress of a publication, and why.
type publishDecision struct {
	State publishing
	Why   string
}

// pendingReasons are the reasons of Published=False after which the controller continues by itself.
var pendingReasons = []string{
	v1alpha1.ReasonProgressing, v1alpha1.ReasonBuilding, v1alpha1.ReasonUploading, v1alpha1.ReasonGranted,
	v1alpha1.ReasonWaitingForRunner, v1alpha1.ReasonWaitingForProject, v1alpha1.ReasonWaitingForBuilder,
	v1alpha1.ReasonAccessDenied, v1alpha1.ReasonThrottled, v1alpha1.ReasonAWSError, v1alpha1.ReasonLookupFailed,
	v1alpha1.ReasonRoleNotAssumable, v1alpha1.ReasonSigningKeysNotReady,
}

// decidePublish returns what the status asks of a runner that has reported its build and made attempt uploads.
func decidePublish(image *v1alpha1.DevcontainerImage, attempt int32) publishDecision {
	status := image.Status
	if published := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPublished); published != nil {
		why := explained(published.Reason, published.Message, "")
		switch {
		case published.Reason == v1alpha1.ReasonAdopted:
			return publishDecision{publishRefused, why}
		case published.Status == metav1.ConditionTrue:
			return publishDecision{publishDone, why}
		case published.Status == metav1.ConditionFalse && !slices.Contains(pendingReasons, published.Reason):
			return publishDecision{publishRefused, why}
		}
	}
	if stalled := condition(image, v1alpha1.ConditionStalled, metav1.ConditionTrue); stalled != nil {
		return publishDecision{publishRefused, explained(stalled.Reason, stalled.Message, "")}
	}
	if status.FinishedAt != nil {
		return publishDecision{
			publishRefused, explained(status.Reason, status.Explanation, "the cache ended without publishing it"),
		}
	}
	observed := int32(0)
	if status.ObservedUploadAttempt != nil {
		observed = *status.ObservedUploadAttempt
	}
	if status.PushCredentials != nil && len(status.MissingLayers) > 0 && observed == attempt {
		return publishDecision{State: publishUpload}
	}
	return publishDecision{State: publishAwait}
}

// waitLimit returns how long a waiter waits for the builder: the requested time, or otherwise twice the expected
// duration of the build, and at least ten minutes.
func waitLimit(asked time.Duration, builder *v1alpha1.BuilderReference) time.Duration {
	const atLeast = 10 * time.Minute
	if asked > 0 {
		return asked
	}
	if builder == nil || builder.ExpectedSeconds == nil {
		return atLeast
	}
	return max(atLeast, 2*time.Duration(*builder.ExpectedSeconds)*time.Second)
}

// outlasted reports whether a waiter waits no longer, because the builder's upload takes long. A prebuild, for which
// nobody waits, does, and so does whoever asked for a certain time.
func (r *Request) outlasted(builder *v1alpha1.BuilderReference) bool {
	return builder != nil && builder.UploadingSince != nil && r.WaitTimeout == 0 && !r.isPrebuild()
}

// builderText names the builder and the expected duration of its build.
func builderText(builder *v1alpha1.BuilderReference) string {
	if builder == nil {
		return "another environment is building this image"
	}
	text := fmt.Sprintf("environment %s is building this image", cmp.Or(builder.EnvironmentID, builder.Name))
	if builder.ExpectedSeconds != nil && *builder.ExpectedSeconds > 0 {
		text += fmt.Sprintf(", expected duration %s", span(time.Duration(*builder.ExpectedSeconds)*time.Second))
	}
	return text
}

// explained joins a reason and its sentence.
func explained(reason, sentence, otherwise string) string {
	sentence = cmp.Or(sentence, otherwise)
	switch {
	case reason == "":
		return sentence
	case sentence == "":
		return reason
	}
	return reason + ": " + sentence
}

func condition(image *v1alpha1.DevcontainerImage, kind string, status metav1.ConditionStatus) *metav1.Condition {
	if found := meta.FindStatusCondition(image.Status.Conditions, kind); found != nil && found.Status == status {
		return found
	}
	return nil
}
