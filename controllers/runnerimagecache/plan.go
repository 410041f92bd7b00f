package runnerimagecache

import (
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
	"imagecache.dev/internal/iam"
	"imagecache.dev/internal/sessionpolicy"
)

// stackVersion is the lowest value of a stack's output ImageCacheVersion that the cache can work with.
const stackVersion = 1

// runnerRefusal returns why a runner can't use the cache at all, before AWS is called. It returns nil if it can.
func runnerRefusal(runner *v1alpha1.RunnerImageCache, sameID []v1alpha1.RunnerImageCache, allowedRoles []string) error {
	if runner.Spec.Provider != v1alpha1.ProviderAWSEC2 {
		return outcome.Terminalf(v1alpha1.ReasonUnsupportedProvider,
			"runners with provider %s can't use the cache; only %s runners can", runner.Spec.Provider, v1alpha1.ProviderAWSEC2)
	}
	for n := range sameID {
		if other := &sameID[n]; other.UID != runner.UID && wasFirst(other, runner) {
			return outcome.Terminalf(v1alpha1.ReasonRunnerIDInUse,
				"RunnerImageCache %s/%s already has runnerID %s; remove one of the two", other.Namespace, other.Name, runner.Spec.RunnerID)
		}
	}
	if !awstarget.MayAssume(runner, allowedRoles) {
		return outcome.Terminalf(v1alpha1.ReasonAssumeRoleNotAllowed,
			"the manager's settings don't allow namespace %s to use role %s; ask the administrator of the manager to allow it", runner.Namespace, runner.Spec.AssumeRoleARN)
	}
	return nil
}

func wasFirst(a, b *v1alpha1.RunnerImageCache) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// accountProblem compares the account of the credentials with the account that the spec names, or, if it names none,
// with the account that already holds the runner's roles and repositories.
func accountProblem(runner *v1alpha1.RunnerImageCache, identity aws.Identity) error {
	named, known := runner.Spec.AccountID, runner.Status.AccountID
	switch {
	case named != "" && named != identity.AccountID:
		return outcome.Terminalf(v1alpha1.ReasonAccountMismatch,
			"the controller's credentials belong to account %s, but spec.accountID is %s; correct one of them", identity.AccountID, named)
	case named == "" && known != "" && known != identity.AccountID:
		return outcome.Terminalf(v1alpha1.ReasonAccountMismatch,
			"the controller's credentials belong to account %s, but the runner's roles and repositories are in account %s; correct the credentials, or set spec.accountID to %s to start again there",
			identity.AccountID, known, identity.AccountID)
	}
	return nil
}

// stackProblem returns an error if a stack's template is too old.
func stackProblem(name string, stack *cloudformation.Stack) error {
	version := leadingNumber(stack.Version)
	if version >= stackVersion {
		return nil
	}
	said := "has no output " + cloudformation.VersionOutput
	if stack.Version != "" {
		said = "has the output " + cloudformation.VersionOutput + "=" + stack.Version
	}
	return outcome.Terminalf(v1alpha1.ReasonStackOutdated,
		"stack %s %s, but the cache needs version %d or later; update the stack as docs/upgrading.md describes", name, said, stackVersion)
}

var numberPattern = regexp.MustCompile(`^[0-9]{1,9}`)

func leadingNumber(text string) int {
	number := 0
	for _, digit := range numberPattern.FindString(strings.TrimPrefix(text, "v")) {
		number = 10*number + int(digit-'0')
	}
	return number
}

// desiredRoles returns the roles that a runner's managed credentials come from, by purpose.
func desiredRoles(runner *v1alpha1.RunnerImageCache, identity aws.Identity, stackTags map[string]string, owner string) []iam.Role {
	spec := runner.Spec
	tags, _ := awstag.Fit(map[string]string{awstag.Owner: owner}, stackTags, awstag.MaxCount)
	role := func(purpose sessionpolicy.Purpose, policy string) iam.Role {
		return iam.Role{
			Name:        sessionpolicy.RoleName(spec.RunnerID, spec.Region, purpose),
			Trust:       sessionpolicy.Trust(identity.PrincipalARN, identity.AccountID, identity.Partition),
			Policy:      policy,
			BoundaryARN: spec.Roles.PermissionsBoundaryARN,
			Tags:        tags,
		}
	}
	return []iam.Role{
		role(sessionpolicy.PurposePull, sessionpolicy.PullRole(identity.Partition, spec.Region, identity.AccountID, spec.RunnerID)),
		role(sessionpolicy.PurposePush, sessionpolicy.PushRole(identity.Partition, spec.Region, identity.AccountID, spec.RunnerID)),
	}
}

// roleARNs returns the ARNs of the pull role and the push role, whoever creates them.
func roleARNs(runner *v1alpha1.RunnerImageCache, identity aws.Identity) (pull, push string) {
	if runner.Spec.Roles.Type == v1alpha1.RolesProvided {
		return runner.Spec.Roles.PullRoleARN, runner.Spec.Roles.PushRoleARN
	}
	arn := func(purpose sessionpolicy.Purpose) string {
		return sessionpolicy.RoleARN(identity.Partition, identity.AccountID,
			sessionpolicy.RoleName(runner.Spec.RunnerID, runner.Spec.Region, purpose))
	}
	return arn(sessionpolicy.PurposePull), arn(sessionpolicy.PurposePush)
}

// roleClaim returns an error if an observed role must not be changed or removed.
func roleClaim(name string, seen *iam.Role, owner string) error {
	if seen == nil || seen.Tags[awstag.Owner] == owner {
		return nil
	}
	return outcome.Terminalf(v1alpha1.ReasonRoleNotOwned,
		"role %s exists but does not belong to this object (its tag %s is %q); remove it, or use roles of type Provided",
		name, awstag.Owner, seen.Tags[awstag.Owner])
}

// Actions of events about roles that drifted.
const (
	actionSetTrustPolicy = "SetTrustPolicy"
	actionPutRolePolicy  = "PutRolePolicy"
	actionSetBoundary    = "SetPermissionsBoundary"
)

// roleFindings returns the differences of an observed role, for the events.
func roleFindings(plan iam.Plan, seen *iam.Role) []drift.Finding {
	var found []drift.Finding
	if plan.SetTrust {
		found = append(found, drift.Finding{Action: actionSetTrustPolicy, Text: drift.FoundPolicy("trust policy", seen.Trust)})
	}
	if plan.PutPolicy {
		found = append(found, drift.Finding{Action: actionPutRolePolicy, Text: drift.FoundPolicy("inline policy", seen.Policy)})
	}
	switch {
	case plan.PutBoundary && seen.BoundaryARN == "":
		found = append(found, drift.Finding{Action: actionSetBoundary, Text: "it had no permissions boundary"})
	case plan.PutBoundary, plan.DropBoundary:
		found = append(found, drift.Finding{Action: actionSetBoundary, Text: "its permissions boundary was " + seen.BoundaryARN})
	}
	if len(plan.Tag) > 0 {
		found = append(found, drift.MissingTags(plan.Tag))
	}
	if len(plan.Untag) > 0 {
		found = append(found, drift.StrayTags(plan.Untag))
	}
	return found
}

// visit is what a pass remembers of an earlier pass about a part that is not checked each time.
type visit struct {
	generation int64
	at         time.Time
	err        error
}

// partRetry is how soon a part that failed is checked again.
const partRetry = 2 * time.Second

// due reports whether a part must be checked again. A check that jitter brings forward is due: otherwise the part
// would be checked only every second time.
func (v visit) due(generation int64, now time.Time, interval time.Duration) bool {
	elapsed := now.Sub(v.at)
	return v.at.IsZero() || v.generation != generation || elapsed >= interval-interval/schedule.JitterShare || (v.err != nil && elapsed >= partRetry)
}

// stackInterval returns how often a stack is read. A stack that something is wrong with is about to be corrected.
func stackInterval(last visit, intervals schedule.Intervals) time.Duration {
	if last.err != nil {
		return min(intervals.Stack, intervals.FaultyStack)
	}
	return intervals.Stack
}

// maxStackAge returns how old an observation of a runner's stack may be: those who read for other runners may have made it.
// It is zero for a spec that is new.
func maxStackAge(runner *v1alpha1.RunnerImageCache, last visit, intervals schedule.Intervals) time.Duration {
	switch {
	case !awstarget.Observed(runner), !last.at.IsZero() && last.generation != runner.Generation:
		return 0
	case last.at.IsZero(), last.err != nil:
		return min(intervals.Stack, intervals.FaultyStack) / 2
	}
	return intervals.Stack / 2
}

// knowsStack reports whether the stack's state is known for the runner's present spec: from a pass, or from the status
// that an earlier manager wrote.
func knowsStack(runner *v1alpha1.RunnerImageCache, last visit) bool {
	if !last.at.IsZero() {
		return last.generation == runner.Generation
	}
	return awstarget.Observed(runner) && meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionTagsReady)
}
