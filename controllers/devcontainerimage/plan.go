package devcontainerimage

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/publication"
)

// bypass returns why the cache does not apply to a request, if it does not. project and runner are nil if they are not
// known yet: they are checked only after what the request alone decides.
func bypass(
	spec *v1alpha1.DevcontainerImageSpec, project *v1alpha1.ProjectImageCache, runner *v1alpha1.RunnerImageCache,
) (reason, explanation string, bypassed bool) {
	switch {
	case spec.ProjectRef == nil:
		return v1alpha1.ReasonNonProjectEnvironment, "the environment has no project, and the cache is shared within projects only", true
	case spec.ConfigurationType == v1alpha1.ConfigurationCompose && spec.Service == "":
		return v1alpha1.ReasonComposeNotSupported, fmt.Sprintf("Docker Compose configurations are not cached for runners that name no service; "+
			"install a newer imagecache on the runner, and set spec.compose: Cached of project %s", spec.ProjectRef.Name), true
	case spec.ConfigurationType == v1alpha1.ConfigurationCompose && project != nil && project.Spec.Compose != v1alpha1.ComposePolicyCached:
		return v1alpha1.ReasonComposeNotSupported, fmt.Sprintf(
			"Docker Compose configurations are not cached; spec.compose: Cached of project %s changes that", spec.ProjectRef.Name), true
	case runner == nil:
		return "", "", false
	case runner.Spec.Provider != "" && runner.Spec.Provider != v1alpha1.ProviderAWSEC2:
		return v1alpha1.ReasonUnsupportedRunner, fmt.Sprintf("runners with provider %s can't use the cache; only AWSEC2 runners can", runner.Spec.Provider), true
	case runner.Spec.Cache == v1alpha1.CacheDisabled:
		return v1alpha1.ReasonCacheDisabled, fmt.Sprintf("the cache of runner %s is switched off", runner.Spec.RunnerID), true
	}
	return "", "", false
}

// answer is what a lookup means for a request.
type answer struct {
	result      v1alpha1.CacheResult
	reason      string
	explanation string
	about       publication.About
	// replaces is the digest of an unusable image that has the hash as its tag.
	replaces string
}

// answerFor decides hit or miss from the image of the hash. found is nil if the repository has none.
func answerFor(
	spec *v1alpha1.DevcontainerImageSpec, want publication.Expectation, policy publication.Policy, keys *provenance.Verifier, found *publication.Cached, now time.Time,
) answer {
	if found == nil {
		return answer{result: v1alpha1.CacheMiss, reason: v1alpha1.ReasonImageNotFound, explanation: "no image with this configuration is cached"}
	}
	if spec.CachePolicy == v1alpha1.CachePolicyRefresh {
		return answer{result: v1alpha1.CacheMiss, reason: v1alpha1.ReasonRefresh, replaces: found.Digest,
			explanation: fmt.Sprintf("the request asks for a new image instead of the image of %s", ago(found.PushedAt, now))}
	}
	unusable, about := publication.Judge(*found, want, policy, keys, now)
	if unusable == publication.Usable {
		return answer{result: v1alpha1.CacheHit, reason: v1alpha1.ReasonImageFound, about: about,
			explanation: fmt.Sprintf("found the image of %s", madeBy(about, about.PublishedAt, now))}
	}
	return answer{result: v1alpha1.CacheMiss, reason: string(unusable), replaces: found.Digest, about: about,
		explanation: unusableSentence(unusable, about, policy, want, now)}
}

func unusableSentence(
	why publication.Unusable, about publication.About, policy publication.Policy, want publication.Expectation, now time.Time,
) string {
	switch why {
	case publication.Expired:
		return fmt.Sprintf("the image of %s has reached its retention of %d days", ago(about.PublishedAt, now), int(policy.Retention.Hours()/24))
	case publication.Invalidated:
		what := "is"
		if !about.PublishedAt.Before(policy.InvalidatePushedBefore) {
			what = "took layers over from one that is"
		}
		return fmt.Sprintf("the image of %s %s older than invalidatePushedBefore, %s", ago(about.PublishedAt, now), what, policy.InvalidatePushedBefore.UTC().Format(time.RFC3339))
	case publication.PlatformMismatch:
		return fmt.Sprintf("the image under this hash is not for %s", want.Platform)
	case publication.Archived:
		return "ECR has archived the image, so it can't be pulled"
	default:
		if about.Problem != nil {
			return "the image under this hash is not used: " + about.Problem.Error()
		}
		return "the image under this hash was not published by this cache, or is damaged"
	}
}

// policyOf returns the conditions that a project sets for its images.
func policyOf(project *v1alpha1.ProjectImageCache) publication.Policy {
	policy := publication.Policy{Retention: project.Spec.Retention()}
	if before := project.Spec.InvalidatePushedBefore; before != nil {
		policy.InvalidatePushedBefore = before.Time
	}
	return policy
}

// mayPublish reports whether a request may ever become a builder: a prebuild, which admission allowed, or the initial
// build of a new environment that is not the environment's second request of that kind, or its second one for a service
// of Docker Compose. others must contain all requests of the environment.
func mayPublish(image *v1alpha1.DevcontainerImage, others []v1alpha1.DevcontainerImage) (explanation string, may bool) {
	switch image.Spec.Trigger {
	case v1alpha1.TriggerPrebuild:
		return "", true
	case v1alpha1.TriggerEnvironmentCreated:
	default:
		return "a rebuild never publishes", false
	}
	for i := range others {
		other := &others[i]
		if other.UID == image.UID || other.Spec.Trigger != v1alpha1.TriggerEnvironmentCreated ||
			!sameProject(image, other) || !samePublication(image, other) {
			continue
		}
		if other.Status.Role == v1alpha1.RoleBuilder || earlier(other, image) || foundAtOnce(other, image) {
			return fmt.Sprintf("environment %s was already created with request %s, and only the first request%s may publish",
				image.Spec.EnvironmentID, other.Name, forService(image)), false
		}
	}
	return "", true
}

// foundAtOnce reports whether another request of the same second has found its image. Creation times are in seconds, and
// requests of one second are ordered by name, which may be that of the second one. One that builds already counts as the
// first, whatever its name, and so does one that is a hit.
func foundAtOnce(other, image *v1alpha1.DevcontainerImage) bool {
	return other.Status.CacheResult == v1alpha1.CacheHit && other.CreationTimestamp.Equal(&image.CreationTimestamp)
}

// samePublication reports whether only one of two requests may publish: both are of one environment, and not for two
// services of its Docker Compose configuration. An environment has one configuration, so what names no service counts for
// all services.
func samePublication(a, b *v1alpha1.DevcontainerImage) bool {
	if a.Spec.EnvironmentID != b.Spec.EnvironmentID {
		return false
	}
	return a.Spec.Service == b.Spec.Service || a.Spec.Service == "" || b.Spec.Service == ""
}

// forService returns the part of a sentence that names a request's service, or "" if it has none.
func forService(image *v1alpha1.DevcontainerImage) string {
	if image.Spec.Service == "" {
		return ""
	}
	return " for service " + image.Spec.Service
}

// earlier orders requests by creation time, and by name if the times are equal.
func earlier(a, b *v1alpha1.DevcontainerImage) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

func sameProject(a, b *v1alpha1.DevcontainerImage) bool {
	return a.Spec.ProjectRef != nil && b.Spec.ProjectRef != nil && a.Spec.ProjectRef.Name == b.Spec.ProjectRef.Name
}

// expectedBuildSeconds estimates how long a build takes: as long as that of the project's published image with the most
// similar inputs, the latest of several. It returns nil if none is known.
func expectedBuildSeconds(asked publication.Origin, others []v1alpha1.DevcontainerImage) *int64 {
	var nearest *v1alpha1.DevcontainerImage
	var nearestLikeness likeness
	for i := range others {
		other := &others[i]
		if buildSecondsOf(other) == nil {
			continue
		}
		found := likenessOf(asked, imageOrigin(other, nil))
		if nearest == nil || found.compare(nearestLikeness) > 0 || found == nearestLikeness && earlier(nearest, other) {
			nearest, nearestLikeness = other, found
		}
	}
	if nearest == nil {
		return nil
	}
	return buildSecondsOf(nearest)
}

// buildSecondsOf returns how long the image that a request published takes to build, or nil if that is not known. Where
// the builder's engine had steps in its layer cache, the image's time is longer than that of the report.
func buildSecondsOf(request *v1alpha1.DevcontainerImage) *int64 {
	build := request.Spec.Build
	if build == nil || build.Outcome != v1alpha1.BuildSucceeded {
		return nil
	}
	if image := request.Status.Image; image != nil && image.BuildSeconds != nil {
		return image.BuildSeconds
	}
	return build.DurationSeconds
}

// ago describes how long ago a time was, in its largest unit.
func ago(then, now time.Time) string {
	passed := now.Sub(then)
	switch {
	case passed < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(passed.Seconds())))
	case passed < time.Hour:
		return fmt.Sprintf("%d min ago", int(passed.Minutes()))
	case passed < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(passed.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(passed.Hours()/24))
	}
}

func madeBy(about publication.About, pushedAt, now time.Time) string {
	if about.Environment == "" {
		return ago(pushedAt, now)
	}
	if about.Service != "" {
		return fmt.Sprintf("%s (environment %s, service %s)", ago(pushedAt, now), about.Environment, about.Service)
	}
	return fmt.Sprintf("%s (environment %s)", ago(pushedAt, now), about.Environment)
}

// refusal returns why a project forbids publishing a reported build, if it does.
func refusal(project *v1alpha1.ProjectImageCache, report *v1alpha1.BuildReport) (reason, message string, refused bool) {
	switch {
	case report.KeyCoverage == v1alpha1.CoverageEnvironmentValues:
		return v1alpha1.ReasonSecretsInBuild, "a value of the runner's environment reaches the build and is not in the key, so the image is used only where it was built; add LocalEnv to the project's keyInputs", true
	case project.Spec.KeyCoverage == v1alpha1.KeyCoverageRequireComplete && report.KeyCoverage != v1alpha1.CoverageComplete:
		return v1alpha1.ReasonKeyIncomplete, "the build reads more than its key covers and the project requires complete keys, so the image is used only where it was built; run imagecache hash --explain", true
	}
	return "", "", false
}

// savedSeconds returns what a hit saved: the duration of the build less the duration of the reported pull; never
// below zero.
func savedSeconds(image *v1alpha1.CachedImage, pull *v1alpha1.PullReport) *int64 {
	if image == nil || image.BuildSeconds == nil {
		return nil
	}
	saved := *image.BuildSeconds
	if pull != nil {
		if pull.Outcome != v1alpha1.PullSucceeded {
			saved = 0
		} else if pull.DurationSeconds != nil {
			saved = max(0, saved-*pull.DurationSeconds)
		}
	}
	return &saved
}

// dueAt returns when a finished object is removed.
func dueAt(image *v1alpha1.DevcontainerImage) time.Time {
	ttl := int32(86400)
	if image.Spec.TTLSecondsAfterFinished != nil {
		ttl = *image.Spec.TTLSecondsAfterFinished
	}
	return image.Status.FinishedAt.Add(time.Duration(ttl) * time.Second)
}

func metaTime(t time.Time) *metav1.Time {
	stamp := metav1.NewTime(t)
	return &stamp
}
