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
	v1alpha1.ReasonStackOutdated:        "update the runner's stack as docs/upgrading.md says",
	v1alpha1.ReasonRunnerIDInUse:        "remove one of the two RunnerImageCaches with this runnerID",
	v1alpha1.ReasonRoleNotOwned:         "remove the role, or use spec.roles of type Provided",
	v1alpha1.ReasonRoleNotAssumable:     "correct the role's trust policy; a role that was just made needs some seconds",
	v1alpha1.ReasonAssumeRoleNotAllowed: "ask whoever runs the manager to allow this namespace spec.assumeRoleARN",
	v1alpha1.ReasonRepositoryNotOwned:   "set spec.adoptionPolicy, or remove the other owner",
	v1alpha1.ReasonEncryptionMismatch:   "create the project again with the repository's encryption, or remove the repository",
	v1alpha1.ReasonTooManyTags:          "remove tags: ECR takes 50",
	v1alpha1.ReasonInvalidTags:          "correct the stack's tags that the message lists",
	v1alpha1.ReasonDisabled:             "set spec.cache of the RunnerImageCache to Enabled",
	v1alpha1.ReasonUnsupportedProvider:  "use an AWS EC2 runner, or remove the object",
	v1alpha1.ReasonWaitingForRunner:     "look at the runner first",
	v1alpha1.ReasonRefreshFailed:        "look at the message: the old credentials still work until the time in it",
	v1alpha1.ReasonCredentialsExpired:   "look at the controller's permissions to assume the pull role",
	v1alpha1.ReasonProgressing:          "wait a moment, and look again",
	v1alpha1.ReasonThrottled:            "wait: it is tried again",
	v1alpha1.ReasonAWSError:             "look up the code in the message; it is tried again",
	v1alpha1.ReasonDeleting:             "wait until it is deleted, then create it again",
	v1alpha1.ReasonProjectsRemain:       "delete the runner's projects first",
}

// abnormal are the conditions that are there only while something is not as it should be.
var abnormal = map[string]bool{v1alpha1.ConditionReconciling: true, v1alpha1.ConditionStalled: true}

// conditions checks an object's conditions, each apart. Ready and the abnormal ones only repeat the others, so they count
// where there are no others.
func (f *findings) conditions(conditions []metav1.Condition, generation, observed int64) {
	if len(conditions) == 0 {
		f.add("controller", ResultFailed, "the controller has not looked at it", "see whether the manager runs, and whether it watches this namespace")
		return
	}
	if observed >= generation {
		f.ok("controller", "it has seen the latest spec")
	} else {
		f.add("controller", ResultFailed, "it has not looked at the latest spec", "see whether the manager runs")
	}
	for _, condition := range conditions {
		if abnormal[condition.Type] || condition.Type == v1alpha1.ConditionReady && len(conditions) > 1 {
			continue
		}
		message := strings.TrimSuffix(fmt.Sprintf("%s: %s", condition.Reason, condition.Message), ": ")
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

// runnerFindings checks a runner's settings and what the controller says of it.
func runnerFindings(cache *v1alpha1.RunnerImageCache) []Finding {
	f := &findings{area: areaRunner}
	f.is(cache.Spec.Provider == "" || cache.Spec.Provider == v1alpha1.ProviderAWSEC2, "provider",
		cmp.Or(string(cache.Spec.Provider), string(v1alpha1.ProviderAWSEC2)), "only AWS EC2 runners cache")
	f.is(cache.Spec.Cache != v1alpha1.CacheDisabled, "cache", cmp.Or(string(cache.Spec.Cache), string(v1alpha1.CacheEnabled)),
		"set spec.cache of the RunnerImageCache to Enabled")
	f.conditions(cache.Status.Conditions, cache.Generation, cache.Status.ObservedGeneration)
	return f.list
}

// projectFindings checks what the controller says of a project, and whether its pull credentials last.
func projectFindings(cache *v1alpha1.ProjectImageCache, now time.Time) []Finding {
	f := &findings{area: areaProject}
	f.conditions(cache.Status.Conditions, cache.Generation, cache.Status.ObservedGeneration)
	credentials := cache.Status.PullCredentials
	if credentials == nil {
		f.add("credentials", ResultSkipped, "there are none now: they are made when an environment asks", "")
		return f.list
	}
	left := credentials.ExpiresAt.Sub(now)
	f.is(left > 0, "credentials", fmt.Sprintf("valid until %s", credentials.ExpiresAt.UTC().Format(time.RFC3339)),
		"see whether the manager runs: it should have refreshed them")
	return f.list
}
