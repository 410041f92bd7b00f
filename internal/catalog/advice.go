package catalog

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// advice is what a user can do about a request's reason. It has no entry for a reason that needs nothing.
// docs/troubleshooting.md describes each reason.
var advice = map[string]string{
	v1alpha1.ReasonImageNotFound:          "Nothing: the first environment with a configuration builds its image. If you expected an image of another environment, compare the two configurations with imagecache hash --diff.",
	v1alpha1.ReasonExpired:                "Nothing: this build replaces the image. A longer spec.retentionDays of the project keeps images for longer.",
	v1alpha1.ReasonPlatformMismatch:       "Build for the platform of the environments: set --platform of imagecache prepare.",
	v1alpha1.ReasonNotVerified:            "Nothing after an upgrade to a version that signs images, or after a key was revoked: the image is replaced. Otherwise find out which other principals write to the repository.",
	v1alpha1.ReasonNonProjectEnvironment:  "Create the environment from a project, and name the project with --project.",
	v1alpha1.ReasonComposeNotSupported:    "Set spec.compose of the ProjectImageCache to Cached. If it is, install a newer imagecache on the runner.",
	v1alpha1.ReasonUnsupportedRunner:      "Use an AWS EC2 runner.",
	v1alpha1.ReasonCacheDisabled:          "Set spec.cache of the RunnerImageCache to Enabled.",
	v1alpha1.ReasonWaitingForProject:      "Look at the ProjectImageCache's conditions, or run imagecache doctor with the project.",
	v1alpha1.ReasonWaitingForRunner:       "Look at the RunnerImageCache's conditions, or run imagecache doctor with the project.",
	v1alpha1.ReasonAccessDenied:           "Give the controller's role the action that the message names; config/aws holds a policy with all of them.",
	v1alpha1.ReasonLookupFailed:           "Run imagecache doctor with the project; the controller retries the lookup.",
	v1alpha1.ReasonBuildFailed:            "Correct what the builder's message names; the environment's log has its output.",
	v1alpha1.ReasonBuilderLost:            "Find out why the builder's machine stopped; another environment may build now.",
	v1alpha1.ReasonUploadTimedOut:         "Find out why the upload is slow; the next environment builds and uploads again.",
	v1alpha1.ReasonNotBuilder:             "Nothing: another environment became the builder, and publishes.",
	v1alpha1.ReasonKeyInputsNeedWorkspace: "Send configHash, as imagecache prepare does, instead of the contents.",
	v1alpha1.ReasonKeyIncomplete:          "Run imagecache hash --explain to see what the key does not cover, and add it to the project's keyInputs.",
	v1alpha1.ReasonSecretsInBuild:         "Add LocalEnv to the project's keyInputs, or remove ${localEnv:…} from the build arguments.",
	v1alpha1.ReasonTooLarge:               "Make the image smaller than the limit that the message names.",
	v1alpha1.ReasonLabelMismatch:          "Find out what changed the image's labels between build and report. Only imagecache prepare of the same version may change them.",
	v1alpha1.ReasonWrongPlatform:          "Build for the requested platform, on a builder that supports it.",
}

// Advice returns what to do about a reason, or "" if there is nothing to do.
func Advice(reason string) string { return advice[reason] }

// AdviceFor returns the advice for the first reason that has some. Reasons of failures come first.
func AdviceFor(request *v1alpha1.DevcontainerImage) string {
	for _, kind := range []string{
		v1alpha1.ConditionStalled, v1alpha1.ConditionPublished, v1alpha1.ConditionReady, v1alpha1.ConditionLookedUp,
	} {
		for _, condition := range request.Status.Conditions {
			if condition.Type != kind || condition.Status == metav1.ConditionTrue && kind != v1alpha1.ConditionStalled {
				continue
			}
			if advice := Advice(condition.Reason); advice != "" {
				return advice
			}
		}
	}
	return Advice(request.Status.Reason)
}
