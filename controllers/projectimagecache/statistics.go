package projectimagecache

import (
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/projects"
	"imagecache.dev/internal/ecr"
)

// expiryDelay is the time within which ECR removes an image after its expiry:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
const expiryDelay = 24 * time.Hour

// idleInterval is how often the images of a project are counted at most that no environment asks for.
const idleInterval = 24 * time.Hour

// countDue reports whether a project's images must be counted now, and the earliest time of the next count. published
// are the retained requests that published. Once the oldest image has expired, the images are counted, and those removed
// that are archived and that no lifecycle rule removes. Usable pull credentials mean that an environment asked within the
// last day; a project without them is counted once a day at most, and no more once its last image has expired.
func countDue(project *v1alpha1.ProjectImageCache, published []v1alpha1.DevcontainerImage, now time.Time, interval time.Duration) (wait time.Duration, wanted bool) {
	known := project.Status.Images
	var readAt time.Time
	if known != nil && known.ReadAt != nil {
		readAt = known.ReadAt.Time
	}
	wanted = publishedSince(published, readAt)
	if known != nil && known.OldestExpiresAt != nil {
		if gone := known.OldestExpiresAt.Add(expiryDelay); now.After(gone) && readAt.Before(gone) && !wanted {
			wanted = true
			if projects.UsablePullCredentials(project, now) == nil {
				interval = max(interval, idleInterval)
			}
		}
	}
	switch {
	case mayHoldInvalidated(project):
		// A person waits for their removal.
		return 0, true
	case !wanted:
		return 0, false
	case readAt.IsZero():
		return 0, true
	}
	return max(readAt.Add(interval).Sub(now), 0), true
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

// sorted are a project's images by what becomes of them.
type sorted struct {
	stay []ecr.Image
	// invalidated were published before invalidatePushedBefore.
	invalidated []ecr.Image
	// expired are archived and older than the project keeps images. No lifecycle rule removes an image that is archived for
	// less than 90 days: https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
	expired []ecr.Image
}

// sortImages decides what becomes of a project's images.
func sortImages(project *v1alpha1.ProjectImageCache, images []ecr.Image, now time.Time) sorted {
	var s sorted
	before := project.Spec.InvalidatePushedBefore
	for _, image := range images {
		switch {
		case before != nil && image.PushedAt.Before(before.Time):
			s.invalidated = append(s.invalidated, image)
		case image.Archived && !now.Before(image.PushedAt.Add(project.Spec.Retention())):
			s.expired = append(s.expired, image)
		default:
			s.stay = append(s.stay, image)
		}
	}
	return s
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
