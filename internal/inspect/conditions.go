package inspect

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// conditionAdvice is what to do about a condition of a runner or project that is not True, by its reason.
var conditionAdvice = map[string]string{
	v1alpha1.ReasonAccessDenied:         "give the controller's role the action that the message names; config/aws holds a policy with all of them",
	v1alpha1.ReasonAccountMismatch:      "correct spec.accountID, or the controller's credentials",
	v1alpha1.ReasonStackNotFound:        "correct spec.stackName",
	v1alpha1.ReasonStackOutdated:        "update the runner's stack as docs/upgrading.md describes",
	v1alpha1.ReasonRunnerIDInUse:        "remove one of the two RunnerImageCaches with this runnerID",
	v1alpha1.ReasonRoleNotOwned:         "remove the role, or use spec.roles of type Provided",
	v1alpha1.ReasonRoleNotAssumable:     "correct the role's trust policy; a new role needs some seconds before it can be assumed",
	v1alpha1.ReasonAssumeRoleNotAllowed: "ask the administrator of the manager to allow this namespace to use spec.assumeRoleARN",
	v1alpha1.ReasonRepositoryNotOwned:   "set spec.adoptionPolicy, or remove the other owner",
	v1alpha1.ReasonEncryptionMismatch:   "create the project again with the repository's encryption, or remove the repository",
	v1alpha1.ReasonTooManyTags:          "remove tags: ECR allows 50",
	v1alpha1.ReasonInvalidTags:          "correct the stack's tags that the message lists",
	v1alpha1.ReasonDisabled:             "set spec.cache of the RunnerImageCache to Enabled",
	v1alpha1.ReasonUnsupportedProvider:  "use an AWS EC2 runner, or remove the object",
	v1alpha1.ReasonWaitingForRunner:     "look at the runner first",
	v1alpha1.ReasonRefreshFailed:        "fix what the message names: the old credentials work until the time in it",
	v1alpha1.ReasonCredentialsExpired:   "check the controller's permission to assume the pull role",
	v1alpha1.ReasonProgressing:          "wait a moment, and run the check again",
	v1alpha1.ReasonThrottled:            "wait: the controller retries",
	v1alpha1.ReasonAWSError:             "look up the code in the message; the controller retries",
	v1alpha1.ReasonDeleting:             "wait until it is deleted, then create it again",
	v1alpha1.ReasonProjectsRemain:       "delete the runner's projects first",
	v1alpha1.ReasonNotCounted:           "look at the project's condition Ready first; the manager's log tells why it can't count",
	v1alpha1.ReasonUsedImagesExpire:     "run imagecache prebuild --due, best each night",
}

// abnormal are the conditions that exist only while something is wrong.
var abnormal = map[string]bool{v1alpha1.ConditionReconciling: true, v1alpha1.ConditionStalled: true}

// notable are the conditions that are for information: True needs attention some time, and False is as it should be.
var notable = map[string]bool{v1alpha1.ConditionImagesDue: true}

// conditions checks each of an object's conditions. Ready and the abnormal conditions only repeat the others, so they
// count only if no others exist.
func (f *findings) conditions(conditions []metav1.Condition, generation, observed int64) {
	if len(conditions) == 0 {
		f.add(
			"controller", ResultFailed, "the controller has not processed the object",
			"check that the manager is running and watches this namespace",
		)
		return
	}
	if observed >= generation {
		f.ok("controller", "the controller has processed the latest spec")
	} else {
		f.add(
			"controller", ResultFailed, "the controller has not processed the latest spec", "check that the manager is running",
		)
	}
	for _, condition := range conditions {
		if abnormal[condition.Type] || condition.Type == v1alpha1.ConditionReady && len(conditions) > 1 {
			continue
		}
		message := strings.TrimSuffix(fmt.Sprintf("%s: %s", condition.Reason, condition.Message), ": ")
		if notable[condition.Type] && condition.Status != metav1.ConditionUnknown {
			if condition.Status == metav1.ConditionTrue {
				f.add(condition.Type, ResultWarning, message, conditionAdvice[condition.Reason])
			} else {
				f.ok(condition.Type, cmp.Or(condition.Message, condition.Reason))
			}
			continue
		}
		switch condition.Status {
		case metav1.ConditionTrue:
			f.ok(condition.Type, cmp.Or(condition.Message, condition.Reason))
		case metav1.ConditionFalse:
			f.add(condition.Type, ResultFailed, message, conditionAdvice[condition.Reason])
		default:
			f.add(condition.Type, ResultWarning, message, conditionAdvice[condition.Reason])
		}
	}
}

// RunnerFindings checks a runner's settings and conditions.
func RunnerFindings(cache *v1alpha1.RunnerImageCache) []Finding {
	f := &findings{area: areaRunner}
	f.is(cache.Spec.Provider == "" || cache.Spec.Provider == v1alpha1.ProviderAWSEC2, "provider",
		cmp.Or(string(cache.Spec.Provider), string(v1alpha1.ProviderAWSEC2)), "only AWS EC2 runners can use the cache")
	f.is(
		cache.Spec.Cache != v1alpha1.CacheDisabled, "cache", cmp.Or(string(cache.Spec.Cache), string(v1alpha1.CacheEnabled)),
		"set spec.cache of the RunnerImageCache to Enabled",
	)
	f.conditions(cache.Status.Conditions, cache.Generation, cache.Status.ObservedGeneration)
	return f.list
}

// compose tells what becomes of Docker Compose configurations: both is right, and people look for it.
func (f *findings) compose(policy v1alpha1.ComposePolicy) {
	if policy == v1alpha1.ComposePolicyCached {
		f.ok("compose", "Docker Compose services are cached")
		return
	}
	f.ok("compose", "Docker Compose configurations are bypassed; spec.compose: Cached changes that")
}

// ProjectFindings checks a project's conditions, and whether its pull credentials are still valid.
func ProjectFindings(cache *v1alpha1.ProjectImageCache, now time.Time) []Finding {
	f := &findings{area: areaProject}
	f.conditions(cache.Status.Conditions, cache.Generation, cache.Status.ObservedGeneration)
	f.compose(cache.Spec.Compose)
	credentials := cache.Status.PullCredentials
	if credentials == nil {
		f.add(
			"credentials", ResultSkipped,
			"no credentials exist now: the controller creates them when an environment asks for an image", "",
		)
		return f.list
	}
	left := credentials.ExpiresAt.Sub(now)
	f.is(left > 0, "credentials", fmt.Sprintf("valid until %s", credentials.ExpiresAt.UTC().Format(time.RFC3339)),
		"check that the manager is running: it should have refreshed the credentials")
	return f.list
}
