package projectimagecache

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/metric"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/publication"
)

// recount is how long figures are kept that change without a publication: which images are due depends on the time and
// on pulls.
const recount = 24 * time.Hour

// recountUnused is the same for a project with expireUnusedAfterDays. It leaves four hours to the longest gap between two
// counts, for a manager that restarts or has to wait for AWS.
const recountUnused = 20 * time.Hour

// countDue reports whether a project's images must be counted, and in what time. published are the retained requests
// that published. againAt is when to count because the last count may have left unused images; zero means no time.
func countDue(
	project *v1alpha1.ProjectImageCache, published []v1alpha1.DevcontainerImage, againAt, now time.Time, interval time.Duration,
) (wait time.Duration, wanted bool) {
	known := project.Status.Images
	var readAt time.Time
	if known != nil && known.ReadAt != nil {
		readAt = known.ReadAt.Time
	}
	wanted = publishedSince(published, readAt)
	switch {
	case mayHoldInvalidated(project), editedWithImages(project):
		// A person waits for their removal, or for figures that fit the edited spec.
		return 0, true
	case wanted && readAt.IsZero():
		return 0, true
	case wanted:
		return max(readAt.Add(interval).Sub(now), 0), true
	}
	at, again := recountAt(project)
	if !againAt.IsZero() {
		at, again = earlier(at, againAt), true
	}
	return max(at.Sub(now), 0), again
}

// recountAt returns when figures are read again although nothing is published: once a day from the time on when the
// oldest image can be due, until ECR has removed it, and with expireUnusedAfterDays always and more often, because the
// counts also show that the manager was running. A project without images is not counted.
func recountAt(project *v1alpha1.ProjectImageCache) (at time.Time, again bool) {
	known := project.Status.Images
	if known == nil || known.ReadAt == nil || known.OldestExpiresAt == nil {
		return time.Time{}, false
	}
	if project.Spec.ExpireUnusedAfterDays != nil {
		return known.ReadAt.Add(recountUnused), true
	}
	at = known.ReadAt.Add(recount)
	if from := known.OldestExpiresAt.Add(-publication.DueWindow(project.Spec.Retention())); from.After(at) {
		at = from
	}
	return at, true
}

// editedWithImages reports whether the spec of a project that has images changed since they were counted. When its images
// expire may have changed with it. A count that fails is repeated, so it is not the last pass that matters. Figures of an
// earlier version have no generation.
func editedWithImages(project *v1alpha1.ProjectImageCache) bool {
	known := project.Status.Images
	if known == nil || known.OldestExpiresAt == nil {
		return false
	}
	return cmp.Or(known.ObservedGeneration, project.Status.ObservedGeneration) != project.Generation
}

// mayHoldInvalidated reports whether a project may have images that were published before invalidatePushedBefore: it
// was set since the last pass, or the oldest counted image is one of them.
func mayHoldInvalidated(project *v1alpha1.ProjectImageCache) bool {
	before, known := project.Spec.InvalidatePushedBefore, project.Status.Images
	switch {
	case before == nil:
		return false
	case known == nil || project.Status.ObservedGeneration != project.Generation:
		return true
	case known.OldestExpiresAt == nil:
		return false
	}
	return known.OldestExpiresAt.AddDate(0, 0, -int(project.Spec.RetentionInDays())).Before(before.Time)
}

// publishedSince reports whether one of the published requests finished at or after a time, which is in whole
// seconds.
func publishedSince(published []v1alpha1.DevcontainerImage, since time.Time) bool {
	for n := range published {
		if !published[n].Status.FinishedAt.Time.Before(since) {
			return true
		}
	}
	return false
}

// statistics adds up a project's images.
func statistics(images []ecr.Image, retentionDays int32, pricePerGBMonth float64, now time.Time) *v1alpha1.ImageStatistics {
	var bytes, due int64
	var oldest, dueOldest time.Time
	retention := time.Duration(retentionDays) * 24 * time.Hour
	for _, image := range images {
		bytes += image.SizeBytes
		oldest = earlier(oldest, image.PushedAt)
		if !image.Archived && publication.IsDue(image.LastPulledAt, image.PushedAt.Add(retention), now, retention) {
			due++
			dueOldest = earlier(dueOldest, image.PushedAt)
		}
	}
	count, readAt := int64(len(images)), metav1.NewTime(now.Truncate(time.Second))
	return &v1alpha1.ImageStatistics{
		Count:                   &count,
		SizeBytes:               &bytes,
		EstimatedMonthlyCostUSD: strconv.FormatFloat(float64(bytes)/metric.Gigabyte*pricePerGBMonth, 'f', 2, 64),
		OldestExpiresAt:         expiry(oldest, retention),
		DueCount:                &due,
		DueExpiresAt:            expiry(dueOldest, retention),
		ReadAt:                  &readAt,
	}
}

// earlier returns the earlier of two times. A zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// expiry returns when an image expires that was published at a time, in whole seconds, or nil for a zero time.
func expiry(pushed time.Time, retention time.Duration) *metav1.Time {
	if pushed.IsZero() {
		return nil
	}
	expires := metav1.NewTime(pushed.Add(retention).Truncate(time.Second))
	return &expires
}

// imagesDue returns the condition ImagesDue for a project's figures. The status is empty if the due images were not
// counted. The figures are unknown if they are of images that have expired since, and for a project that is refused,
// whose images are not counted.
func imagesDue(images *v1alpha1.ImageStatistics, refused bool, now time.Time) (status metav1.ConditionStatus, reason, message string) {
	switch {
	case images == nil || images.DueCount == nil:
		return "", "", ""
	case refused:
		return metav1.ConditionUnknown, v1alpha1.ReasonNotCounted, "the images are not counted before the project is ready"
	case *images.DueCount == 0 || images.DueExpiresAt == nil:
		return metav1.ConditionFalse, v1alpha1.ReasonNoneDue, "no image that environments use expires soon"
	case !images.DueExpiresAt.After(now):
		return metav1.ConditionUnknown, v1alpha1.ReasonNotCounted, "the images could not be counted since the first due image expired"
	}
	return metav1.ConditionTrue, v1alpha1.ReasonUsedImagesExpire, fmt.Sprintf(
		"%d of the images that environments use expire soon, the first on %s; imagecache prebuild --due replaces them",
		*images.DueCount, images.DueExpiresAt.UTC().Format(time.DateOnly))
}
