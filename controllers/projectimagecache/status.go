package projectimagecache

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/conditions"
	"imagecache.dev/controllers/metric"
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

	// statistics is nil if the images were not counted in this pass.
	statistics *v1alpha1.ImageStatistics
	// uncounted means that the figures of the status are no longer true.
	uncounted bool
	// invalidated is how many images were removed because they were published before invalidatePushedBefore.
	invalidated int
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
	if f.statistics != nil || f.uncounted {
		status.Images = f.statistics
	}
	status.Conditions = projectConditions(project, f).ApplyTo(project.Status.Conditions)
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

// statistics adds up a project's images.
func statistics(images []ecr.Image, retentionDays int32, pricePerGBMonth float64, now time.Time) *v1alpha1.ImageStatistics {
	var bytes int64
	var oldest time.Time
	for _, image := range images {
		bytes += image.SizeBytes
		if oldest.IsZero() || image.PushedAt.Before(oldest) {
			oldest = image.PushedAt
		}
	}
	count, readAt := int64(len(images)), metav1.NewTime(now.Truncate(time.Second))
	figures := &v1alpha1.ImageStatistics{
		Count:                   &count,
		SizeBytes:               &bytes,
		EstimatedMonthlyCostUSD: strconv.FormatFloat(float64(bytes)/metric.Gigabyte*pricePerGBMonth, 'f', 2, 64),
		ReadAt:                  &readAt,
	}
	if count > 0 {
		expires := metav1.NewTime(oldest.Add(time.Duration(retentionDays) * 24 * time.Hour).Truncate(time.Second))
		figures.OldestExpiresAt = &expires
	}
	return figures
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
