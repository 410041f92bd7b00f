package controllers

import (
	"time"

	"imagecache.dev/api/v1alpha1"
)

// expiryDelay is within how much time after an image's end ECR removes it:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
const expiryDelay = 24 * time.Hour

// countDue says whether a project's images are to be counted, and in how long at the earliest.
func countDue(known *v1alpha1.ImageStatistics, requests []v1alpha1.DevcontainerImage, now time.Time, interval time.Duration) (wait time.Duration, wanted bool) {
	var readAt time.Time
	if known != nil && known.ReadAt != nil {
		readAt = known.ReadAt.Time
	}
	wanted = publishedSince(requests, readAt)
	if known != nil && known.OldestExpiresAt != nil && len(requests) > 0 && now.After(known.OldestExpiresAt.Add(expiryDelay)) {
		wanted = wanted || readAt.Before(known.OldestExpiresAt.Add(expiryDelay))
	}
	if !wanted {
		return 0, false
	}
	if readAt.IsZero() {
		return 0, true
	}
	return max(readAt.Add(interval).Sub(now), 0), true
}

// publishedSince says whether a builder finished at or after a time, which is of whole seconds.
func publishedSince(requests []v1alpha1.DevcontainerImage, since time.Time) bool {
	for n := range requests {
		request := &requests[n]
		if request.Status.Role == v1alpha1.RoleBuilder && request.Status.FinishedAt != nil && request.Status.Image != nil &&
			!request.Status.FinishedAt.Time.Before(since) {
			return true
		}
	}
	return false
}

// soonest is the shorter of two pauses, of which zero means none.
func soonest(a, b time.Duration) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}
