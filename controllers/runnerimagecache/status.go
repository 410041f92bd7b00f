package runnerimagecache

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
)

// runnerFacts is what one pass observed of a runner.
type runnerFacts struct {
	now time.Time
	// refused tells why AWS was not called at all.
	refused error
	// identity is nil if the account was not reached.
	identity   *aws.Identity
	accountErr error
	// stack is the stack as it was read last, or nil if that failed. stackErr tells why, or what is wrong with the
	// stack.
	stack    *cloudformation.Stack
	stackErr error
	// stackLater is set if the stack is due and must wait for its turn. What was known of it stays.
	stackLater *aws.LaterError
	rolesErr   error
	// formerTags are the keys of tags that the roles may have from an earlier state of the stack.
	formerTags map[string]bool
	// keys are the signing keys that are in use, or nil. keysErr tells why they can't be read now.
	keys     *signingkeys.Set
	keysErr  error
	projects int32
}

// err returns what holds the runner up: the error of the first part that failed.
func (f *runnerFacts) err() error {
	return outcome.First(f.refused, f.accountErr, f.stackErr, f.rolesErr, f.keysErr)
}

// notRead reports whether the keys were not read since the manager started.
func notRead(keysErr error) bool {
	var waiting *outcome.WaitingError
	return errors.As(keysErr, &waiting) && waiting.Reason == v1alpha1.ReasonProgressing
}

// hadKeys reports whether the status says that a controller had the signing keys.
func hadKeys(runner *v1alpha1.RunnerImageCache) bool {
	return meta.IsStatusConditionTrue(runner.Status.Conditions, v1alpha1.ConditionSigningKeysReady)
}

// runnerStatus computes the status from the facts.
func runnerStatus(runner *v1alpha1.RunnerImageCache, f *runnerFacts) v1alpha1.RunnerImageCacheStatus {
	status := *runner.Status.DeepCopy()
	status.ObservedGeneration = runner.Generation
	status.Projects = &f.projects
	if f.keys != nil {
		status.SigningKeys = f.keys.Published()
	}
	if f.identity != nil {
		status.AccountID, status.ControllerARN = f.identity.AccountID, f.identity.PrincipalARN
		status.PullRoleARN, status.PushRoleARN = roleARNs(runner, *f.identity)
	}
	if f.stack != nil {
		status.StackVersion = bounded(f.stack.Version, 64)
		tags := stackTagList(f.stack.Tags)
		if status.StackTagsReadAt == nil || !sameTags(status.StackTags, tags) {
			readAt := metav1.NewTime(f.now.Truncate(time.Second))
			status.StackTags, status.StackTagsReadAt = tags, &readAt
		}
	}
	if runner.Spec.StackName == "" {
		status.StackVersion, status.StackTags, status.StackTagsReadAt = "", nil, nil
	}
	status.Conditions = runnerConditions(runner, f).ApplyTo(runner.Status.Conditions)
	return status
}

func runnerConditions(runner *v1alpha1.RunnerImageCache, f *runnerFacts) *conditions.Facts {
	conditions := conditions.For(runner.Generation)
	if f.refused == nil {
		conditions.Part(v1alpha1.ConditionSigningKeysReady, f.keysErr, "the controller has the keys that sign and verify images")
		account := ""
		if f.identity != nil {
			account = fmt.Sprintf("the controller reaches account %s as %s", f.identity.AccountID, f.identity.PrincipalARN)
		}
		conditions.Part(v1alpha1.ConditionAccountReady, f.accountErr, account)
		if f.accountErr == nil {
			conditions.Part(v1alpha1.ConditionTagsReady, f.stackErr, tagsMessage(runner))
			conditions.Part(v1alpha1.ConditionRolesReady, f.rolesErr, "the pull role and the push role exist, and the controller can assume them")
		}
	}
	if runner.Spec.Cache == v1alpha1.CacheDisabled {
		return conditions.Summary(f.err(), v1alpha1.ReasonDisabled, "the cache is switched off: environments publish and pull nothing, and cached images stay until they expire")
	}
	return conditions.Summary(f.err(), v1alpha1.ReasonSucceeded, "projects of this runner can use the cache")
}

func tagsMessage(runner *v1alpha1.RunnerImageCache) string {
	if runner.Spec.StackName == "" {
		return "spec.stackName is not set, so repositories inherit no tags"
	}
	return "repositories inherit the tags of stack " + runner.Spec.StackName
}

// deletingRunnerStatus returns the status of a runner that can't be removed yet.
func deletingRunnerStatus(runner *v1alpha1.RunnerImageCache, projects int32, err error) v1alpha1.RunnerImageCacheStatus {
	status := *runner.Status.DeepCopy()
	status.ObservedGeneration, status.Projects = runner.Generation, &projects
	status.Conditions = conditions.For(runner.Generation).Summary(err, "", "").ApplyTo(runner.Status.Conditions)
	return status
}

func stackTagList(tags map[string]string) []v1alpha1.StackTag {
	var list []v1alpha1.StackTag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		list = append(list, v1alpha1.StackTag{Key: key, Value: &value})
	}
	return list
}

func sameTags(a, b []v1alpha1.StackTag) bool {
	return slices.EqualFunc(a, b, func(x, y v1alpha1.StackTag) bool {
		return x.Key == y.Key && awstag.Value(x.Value) == awstag.Value(y.Value)
	})
}

func bounded(text string, most int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), most)])
}
