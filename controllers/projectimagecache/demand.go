package projectimagecache

import (
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
)

// recordTime is how long ECR may take to record a pull of an image that nobody pulled for a day. It updates the time on
// every pull, but promises no time for that:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-time-update-exclusions.html
const recordTime = time.Hour

// demand is what a project's requests tell about the use of its images. They are the only other witness of pulls than
// ECR, for as long as they are kept, by default a day.
type demand struct {
	// hashes are of the images that requests look up, got, or take layers from.
	hashes map[string]bool
	// unrecorded is the digest of an image that an environment pulled although ECR's record says that nobody did. Empty
	// means none. One is enough to doubt the record of all: ECR excludes roles, and environments share theirs.
	unrecorded string
	// recent reports whether such a pull is so recent that ECR may record it yet.
	recent bool

	images             map[string]ecr.Image
	since, before, now time.Time
}

// newDemand returns an empty demand for a project's images. Pulls before since are known, and requests that finished
// before before keep no image.
func newDemand(images []ecr.Image, since, before, now time.Time) *demand {
	d := &demand{hashes: map[string]bool{}, images: map[string]ecr.Image{}, since: since, before: before, now: now}
	for _, image := range images {
		d.images[image.Digest] = image
	}
	return d
}

// add adds what one request tells.
func (d *demand) add(request *v1alpha1.DevcontainerImage) {
	if finished := request.Status.FinishedAt; finished == nil || !finished.Time.Before(d.before) {
		d.hashes[request.Spec.ConfigHash], d.hashes[request.Status.ConfigHash] = true, true
		if source := request.Status.LayersFrom; source != nil {
			d.hashes[source.ConfigHash] = true
		}
	}
	d.addPull(request)
}

// addPull compares a pull that a runner reported with ECR's record. A request is finished before its image is pulled, by
// the controller's clock, which may be ahead of AWS'.
func (d *demand) addPull(request *v1alpha1.DevcontainerImage) {
	finished, pull, image := request.Status.FinishedAt, request.Spec.Pull, request.Status.Image
	if finished == nil || finished.Time.Before(d.since) || image == nil || pull == nil || pull.Outcome != v1alpha1.PullSucceeded {
		return
	}
	stored, exists := d.images[image.Digest]
	switch {
	case !exists || !stored.LastPulledAt.Before(finished.Add(-pullLag-recordTime)):
	case d.now.Sub(finished.Time) < recordTime:
		d.recent = true
	default:
		d.unrecorded = image.Digest
	}
}
