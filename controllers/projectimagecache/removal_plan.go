package projectimagecache

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
)

// maxUnused is how many unused images one pass removes at most.
const maxUnused = 100

// pullLag is how long after a pull ECR may record it:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html (lastRecordedPullTime)
const pullLag = 24 * time.Hour

// longestGap is how long after a count the next one may come. After a longer gap the manager may have been down, and
// environments without pull credentials; and requests of the time between may be gone, which are kept for a day. A
// shorter outage is not noticed, so each image stays for that long in addition.
const longestGap = 24 * time.Hour

// hashPattern is the form of the tags under which the cache publishes.
var hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

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

// enabledAt returns since when the controller knows that environments of a project could pull, in whole seconds: since
// expireUnusedAfterDays was set, the cache was switched on, a count that came too late after the one before, one while
// no environment could pull, or one that found a pull without a record in ECR. It is nil without expireUnusedAfterDays,
// and while the cache is off. A count that fails changes nothing: the next one that succeeds comes late.
func enabledAt(project *v1alpha1.ProjectImageCache, f *projectFacts) *metav1.Time {
	if project.Spec.ExpireUnusedAfterDays == nil || f.disabled {
		return nil
	}
	known := project.Status.EnabledAt
	if known != nil && (!f.counted || inTime(project.Status.Images, f.now) && f.unrecorded == "" && mayPull(project, f)) {
		return known
	}
	since := metav1.NewTime(f.now.Truncate(time.Second))
	return &since
}

// mayPull reports whether environments of a project can pull: the repository has its policy, without which no image is
// a hit, and those who ask have credentials that last. A failure that no count meets is shorter than longestGap.
func mayPull(project *v1alpha1.ProjectImageCache, f *projectFacts) bool {
	if f.repositoryErr != nil || f.policyErr != nil {
		return false
	}
	credentials := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionPullCredentialsReady)
	return credentials == nil || credentials.Status != metav1.ConditionFalse || credentials.Reason == v1alpha1.ReasonRefreshFailed
}

// inTime reports whether a count at a time follows the last one closely enough.
func inTime(last *v1alpha1.ImageStatistics, now time.Time) bool {
	return last != nil && last.ReadAt != nil && now.Sub(last.ReadAt.Time) <= longestGap
}

// unusedBefore returns the time before which an image was used last if expireUnusedAfterDays makes it expire, or zero if
// no image expires for that: without such days, and until environments could pull for as long.
func unusedBefore(days *int32, enabled *metav1.Time, now time.Time) time.Time {
	if days == nil || enabled == nil {
		return time.Time{}
	}
	before := now.Add(-time.Duration(*days)*24*time.Hour - pullLag - longestGap)
	if !enabled.Time.Before(before) {
		return time.Time{}
	}
	return before
}

// planUnused returns the images that nobody used since a time, the longest unused first and not more than most, and
// whether there are more. Publishing and pulling an image is use, and so is a request for its hash: one that is not
// finished, or that finished since. asked are the hashes of such requests. Images that the cache can't have published stay.
func planUnused(images []ecr.Image, asked map[string]bool, before time.Time, most int) (remove []ecr.Image, more bool) {
	for _, image := range images {
		others := func(tag string) bool { return !hashPattern.MatchString(tag) || asked[tag] }
		if len(image.Tags) > 0 && usedAt(image).Before(before) && !slices.ContainsFunc(image.Tags, others) {
			remove = append(remove, image)
		}
	}
	slices.SortFunc(remove, func(a, b ecr.Image) int {
		return cmp.Or(usedAt(a).Compare(usedAt(b)), cmp.Compare(a.Digest, b.Digest))
	})
	return remove[:min(most, len(remove))], len(remove) > most
}

// usedAt returns when an image was published or pulled last.
func usedAt(image ecr.Image) time.Time {
	if image.LastPulledAt.After(image.PushedAt) {
		return image.LastPulledAt
	}
	return image.PushedAt
}

// without returns the images that are not among others.
func without(images, others []ecr.Image) []ecr.Image {
	gone := map[string]bool{}
	for _, image := range others {
		gone[image.Digest] = true
	}
	return slices.DeleteFunc(slices.Clone(images), func(image ecr.Image) bool { return gone[image.Digest] })
}
