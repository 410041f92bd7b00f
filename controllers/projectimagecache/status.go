package projectimagecache

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
)

// projectFacts is what one pass observed of a project and did for it.
type projectFacts struct {
	now      time.Time
	disabled bool
	// refused tells why AWS was not called for the repository.
	refused error

	desired desiredRepository
	plan    *repositoryPlan
	// sweep requests a read of the policies, which have no shared list. swept reports that they were read, and
	// sweepErr why not.
	sweep, swept bool
	sweepErr     error

	// repository is nil if it does not exist or does not belong to this object.
	repository *ecr.Repository
	// tagged are the repository's tags after the pass.
	tagged map[string]string

	repositoryErr, lifecycleErr, policyErr, tagsErr error

	// counted means that the images were counted in this pass. statistics is nil otherwise.
	counted    bool
	statistics *v1alpha1.ImageStatistics
	// uncounted means that the figures of the status are no longer true.
	uncounted bool
	// invalidated is how many images were removed because they were published before invalidatePushedBefore.
	invalidated int
	// unused is how many images were removed because nobody used them for expireUnusedAfterDays. unusedErr is why unused
	// images could not be removed, and unrecorded is the digest of an image that was pulled without a record in ECR.
	unused     int
	unusedErr  error
	unrecorded string
	// countAgainIn is how soon the images are counted again because unused ones may be left. Zero means that none are.
	countAgainIn time.Duration
	// expired is how many images were removed because they were archived and older than retentionDays.
	expired int
}

// err returns what holds the project up: the error of the first part that failed. Tags without room hold up nothing.
func (f *projectFacts) err() error {
	return outcome.First(f.refused, f.repositoryErr, f.lifecycleErr, f.policyErr, f.tagsErr)
}

// projectStatus computes the status from the facts.
func projectStatus(project *v1alpha1.ProjectImageCache, f *projectFacts) v1alpha1.ProjectImageCacheStatus {
	status := *project.Status.DeepCopy()
	status.ObservedGeneration = project.Generation
	if f.repository != nil {
		if status.Repository != nil && status.Repository.ARN != f.repository.ARN {
			status.PullCredentials = nil // they belong to the repository of another account
		}
		status.Repository = &v1alpha1.RepositoryStatus{
			Name: f.repository.Name, ARN: f.repository.ARN, URI: f.repository.URI, Origin: f.plan.origin,
			CreatedAt: createdAt(f.repository),
		}
		status.AppliedTags = appliedTags(f)
		status.AppliedHash = f.desired.hash()
	}
	if f.refused == nil {
		status.EnabledAt = enabledAt(project, f)
	}
	if f.statistics != nil || f.uncounted {
		status.Images = f.statistics
	}
	conditions := projectConditions(project, f)
	if is, reason, message := imagesDue(status.Images, f.refused != nil, f.now); is != "" {
		conditions.Is(v1alpha1.ConditionImagesDue, is, reason, message)
	}
	status.Conditions = conditions.ApplyTo(project.Status.Conditions)
	if status.Images == nil {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionImagesDue)
	}
	return status
}

// appliedTags returns the keys that the controller set and that the repository still has.
func appliedTags(f *projectFacts) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(f.tagged)) {
		if value, wanted := f.plan.tags[key]; (wanted && f.tagged[key] == value) || slices.Contains(f.plan.untag, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func projectConditions(project *v1alpha1.ProjectImageCache, f *projectFacts) *conditions.Facts {
	conditions := conditions.For(project.Generation)
	if f.refused == nil {
		conditions.Part(v1alpha1.ConditionRepositoryReady, outcome.Paced(f.repositoryErr), "repository "+f.desired.name+" exists and belongs to this object, and its tags are immutable")
	}
	if f.repository != nil {
		conditions.Part(v1alpha1.ConditionLifecyclePolicyReady, outcome.Paced(f.lifecycleErr),
			fmt.Sprintf("images expire %d days after their publication", project.Spec.RetentionInDays()))
		conditions.Part(v1alpha1.ConditionRepositoryPolicyReady, outcome.Paced(f.policyErr), "only the project, its readers and the controller can access the repository")
		conditions.Part(v1alpha1.ConditionTagsReady, outcome.First(outcome.Paced(f.tagsErr), tagsProblem(f.plan.left, f.desired.refused)),
			fmt.Sprintf("%d tags are set", len(f.plan.tags)))
	}
	if f.disabled {
		return conditions.Summary(outcome.Paced(f.err()), v1alpha1.ReasonDisabled, "the runner's cache is switched off: environments publish and pull nothing, and cached images stay until they expire")
	}
	return conditions.Summary(outcome.Paced(f.err()), v1alpha1.ReasonSucceeded, "environments of the project can use the cache")
}

// deletingProjectStatus returns the status of a project that can't be removed yet.
func deletingProjectStatus(project *v1alpha1.ProjectImageCache, err error) v1alpha1.ProjectImageCacheStatus {
	status := *project.Status.DeepCopy()
	status.ObservedGeneration = project.Generation
	status.Conditions = conditions.For(project.Generation).Summary(outcome.Paced(err), "", "").ApplyTo(project.Status.Conditions)
	return status
}

// createdAt returns when a repository was created, in whole seconds, or nil if AWS did not report that.
func createdAt(repository *ecr.Repository) *metav1.Time {
	if repository.CreatedAt.IsZero() {
		return nil
	}
	created := metav1.NewTime(repository.CreatedAt.Truncate(time.Second))
	return &created
}
