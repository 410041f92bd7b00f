package catalog

import "imagecache.dev/api/v1alpha1"

// advice is what the reader of a request's reason can do about it. Reasons about which there is nothing to do are not
// in it. docs/troubleshooting.md says more about each.
var advice = map[string]string{
	v1alpha1.ReasonImageNotFound:          "Nothing: the first environment with a configuration builds it. If another one had the same configuration, compare the two with imagecache hash --diff.",
	v1alpha1.ReasonExpired:                "Nothing: the image is replaced by this build. A longer spec.retentionDays of the project keeps images for longer.",
	v1alpha1.ReasonPlatformMismatch:       "Build for the platform that the environments have: --platform of imagecache prepare.",
	v1alpha1.ReasonNotVerified:            "Find out who else writes to the repository: what is stored under this hash was not published by the cache.",
	v1alpha1.ReasonNonProjectEnvironment:  "Create the environment from a project, and name that with --project.",
	v1alpha1.ReasonComposeNotSupported:    "Nothing: Docker Compose configurations are not cached.",
	v1alpha1.ReasonUnsupportedRunner:      "Use an AWS EC2 runner.",
	v1alpha1.ReasonCacheDisabled:          "Set spec.cache of the RunnerImageCache to Enabled.",
	v1alpha1.ReasonWaitingForProject:      "Look at the ProjectImageCache's conditions, or run imagecache doctor with the project.",
	v1alpha1.ReasonWaitingForRunner:       "Look at the RunnerImageCache's conditions, or run imagecache doctor with the project.",
	v1alpha1.ReasonAccessDenied:           "Give the controller's role the action that the message names; config/aws holds a policy with all of them.",
	v1alpha1.ReasonLookupFailed:           "Run imagecache doctor with the project; the lookup is tried again by itself.",
	v1alpha1.ReasonBuildFailed:            "Correct what the builder's message names; the environment's log has its output.",
	v1alpha1.ReasonBuilderLost:            "Find out why the builder's machine stopped; another environment may build now.",
	v1alpha1.ReasonUploadTimedOut:         "Find out why the upload is so slow; the next environment builds and uploads again.",
	v1alpha1.ReasonNotBuilder:             "Nothing: another environment had taken over, and publishes.",
	v1alpha1.ReasonKeyInputsNeedWorkspace: "Send configHash, as imagecache prepare does, instead of the contents.",
	v1alpha1.ReasonKeyIncomplete:          "See what the key does not cover with imagecache hash --explain, and add it to the project's keyInputs.",
	v1alpha1.ReasonSecretsInBuild:         "Add LocalEnv to the project's keyInputs, or take ${localEnv:…} out of the build arguments.",
	v1alpha1.ReasonTooLarge:               "Make the image smaller than the bound that the message names.",
	v1alpha1.ReasonLabelMismatch:          "Find out what changed the image's labels between build and report: only imagecache prepare of the same version may.",
	v1alpha1.ReasonWrongPlatform:          "Build for the platform that was asked for, on a builder that can.",
}

// Advice is what to do about a reason; empty where there is nothing to do.
func Advice(reason string) string { return advice[reason] }
