package projectimagecache

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
)

// maxUnused is how many unused images one pass removes at most.
const maxUnused = 100

// pullLag is how long after a pull ECR may record it:
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html (lastRecordedPullTime)
const pullLag = 24 * time.Hour

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

// enabledAt returns since when environments of a project can pull, in whole seconds, or nil while they can't. A manager
// that should have counted the images a day ago, and did not, was not running: nobody got pull credentials meanwhile.
func enabledAt(project *v1alpha1.ProjectImageCache, disabled bool, now time.Time) *metav1.Time {
	if disabled {
		return nil
	}
	planned, counting := recountAt(project)
	missed := counting && now.Sub(planned) > recount
	if known := project.Status.EnabledAt; known != nil && !missed {
		return known
	}
	since := metav1.NewTime(now.Truncate(time.Second))
	return &since
}

// unusedBefore returns the time before which an image was used last if expireUnusedAfterDays makes it expire, or zero if
// no image expires for that: without such days, and until environments could pull for as long.
func unusedBefore(days *int32, enabled *metav1.Time, now time.Time) time.Time {
	if days == nil || enabled == nil {
		return time.Time{}
	}
	before := now.Add(-time.Duration(*days)*24*time.Hour - pullLag)
	if !enabled.Time.Before(before) {
		return time.Time{}
	}
	return before
}

// planUnused returns the images that nobody used since a time, the longest unused first and not more than most, and
// whether there are more. Publishing and pulling an image is use, and so is a request that names its hash: one that is
// not finished, or that finished since. Images that the cache can't have published stay.
func planUnused(images []ecr.Image, requests []v1alpha1.DevcontainerImage, before time.Time, most int) (remove []ecr.Image, more bool) {
	wanted := wantedHashes(requests, before)
	for _, image := range images {
		others := func(tag string) bool { return !hashPattern.MatchString(tag) || wanted[tag] }
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

// wantedHashes returns the hashes of the images that requests look up, got, or take layers from, except of requests that
// finished before a time.
func wantedHashes(requests []v1alpha1.DevcontainerImage, before time.Time) map[string]bool {
	wanted := map[string]bool{}
	for n := range requests {
		request := &requests[n]
		if finished := request.Status.FinishedAt; finished != nil && finished.Time.Before(before) {
			continue
		}
		wanted[request.Spec.ConfigHash], wanted[request.Status.ConfigHash] = true, true
		if source := request.Status.LayersFrom; source != nil {
			wanted[source.ConfigHash] = true
		}
	}
	return wanted
}

// without returns the images that are not among others.
func without(images, others []ecr.Image) []ecr.Image {
	gone := map[string]bool{}
	for _, image := range others {
		gone[image.Digest] = true
	}
	return slices.DeleteFunc(slices.Clone(images), func(image ecr.Image) bool { return gone[image.Digest] })
}
