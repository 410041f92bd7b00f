package devcontainerimage

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

const (
	// renewBefore is how long before the end of upload rights the next ones are granted. The runner has them before it
	// needs them, and begins nothing with the old ones that outlasts them.
	renewBefore = 3 * time.Minute
	// overdueAfter is how long after the end of upload rights the manager tries to check the layers and to grant others.
	overdueAfter = 5 * time.Minute
	// grantLasts is how long the runner uploads with one grant.
	grantLasts = pushDuration - renewBefore
	// maxUpload is how long after the first grant the last upload rights end, however well the upload goes. The largest
	// layer that ECR takes, 52,000 MiB, takes so long at 20 Mbit/s
	// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html).
	maxUpload = 6 * time.Hour
	// maxGrants is how often upload rights are granted for one report at most.
	maxGrants = int32(maxUpload / grantLasts)
	// slowestLine, 8 Mbit/s, is the slowest line over which a layer is published that takes longer than one grant, in
	// bytes a second.
	slowestLine = 1_000_000
)

// uploadStep is what to do about the upload rights of a request.
type uploadStep string

const (
	// uploadWait: the rights last, and the runner uploads.
	uploadWait uploadStep = "Wait"
	// uploadGrant: there are no rights yet, or they end soon, and the upload advances.
	uploadGrant uploadStep = "Grant"
	// uploadEnd: the rights have ended, and there will be no others.
	uploadEnd uploadStep = "End"
)

// uploadFacts are what decides about upload rights.
type uploadFacts struct {
	// granted means that the runner has upload rights. left is how long they last.
	granted bool
	left    time.Duration
	// upload is nil before the first grant, and where the rights were granted by a manager, or under a definition of the
	// API, that does not count them.
	upload *v1alpha1.UploadStatus
	now    time.Time
	// missing are the sizes in bytes of the blobs that the repository lacks, as the manifest states them: at least one.
	missing []int64
}

// planUpload decides about upload rights, and tells why they end. Only layers that the repository has count as
// progress: what a runner says about its upload counts for nothing. A layer that a slow line can't take within one
// grant is waited for by its size. Whatever a runner does, its rights end maxUpload after the first grant, and none are
// granted again that are not counted.
func planUpload(in uploadFacts) (step uploadStep, why string) {
	switch {
	case in.granted && in.left > renewBefore:
		return uploadWait, ""
	case mayGrant(in):
		return uploadGrant, ""
	case in.left > 0:
		return uploadWait, ""
	case in.upload == nil:
		return uploadEnd, fmt.Sprintf("the runner did not upload the layers within %s; %s",
			minutes(pushDuration), lacking(in.missing))
	case uploadIsOver(in.upload, in.now):
		return uploadEnd, fmt.Sprintf("the upload did not end within %s; %s", hours(maxUpload), lacking(in.missing))
	}
	return uploadEnd, fmt.Sprintf("the runner completed no layer for %s; %s",
		minutes(time.Duration(in.upload.GrantsSinceProgress-1)*grantLasts+pushDuration), lacking(in.missing))
}

// mayGrant reports whether upload rights may be granted, for the first time or again. Rights that were counted and that
// the runner never got, because the manager ended meanwhile, are no reason to grant no others.
func mayGrant(in uploadFacts) bool {
	switch {
	case in.upload == nil:
		return !in.granted
	case uploadIsOver(in.upload, in.now):
		return false
	}
	return !in.granted || shrank(in) || in.upload.GrantsSinceProgress < grantsFor(in.missing)
}

// uploadIsOver reports whether an upload has had all rights that it may have.
func uploadIsOver(upload *v1alpha1.UploadStatus, now time.Time) bool {
	return upload.Grants >= maxGrants || uploadTimeLeft(upload, now) <= renewBefore
}

// uploadTimeLeft returns how long an upload may still go on, whatever its rights.
func uploadTimeLeft(upload *v1alpha1.UploadStatus, now time.Time) time.Duration {
	return upload.StartedAt.Add(maxUpload).Sub(now)
}

// nextUpload returns the status of an upload with one more grant.
func nextUpload(in uploadFacts) *v1alpha1.UploadStatus {
	next := &v1alpha1.UploadStatus{
		StartedAt: metav1.NewTime(in.now.Truncate(time.Second)),
		Grants:    1, GrantsSinceProgress: 1, MissingLayers: int32(len(in.missing)),
	}
	if before := in.upload; before != nil {
		next.StartedAt = before.StartedAt
		next.Grants += before.Grants
		if !shrank(in) {
			next.GrantsSinceProgress += before.GrantsSinceProgress
			next.MissingLayers = before.MissingLayers
		}
	}
	return next
}

// shrank reports whether fewer layers are missing than at the grant before.
func shrank(in uploadFacts) bool { return int32(len(in.missing)) < in.upload.MissingLayers }

// grantsFor returns how many grants the smallest missing blob takes over the slowest line.
func grantsFor(missing []int64) int32 {
	const bytes = int64(slowestLine * grantLasts / time.Second)
	return int32(min((slices.Min(missing)+bytes-1)/bytes, int64(maxGrants)))
}

// lacking describes what is missing.
func lacking(missing []int64) string {
	if len(missing) == 1 {
		return fmt.Sprintf("1 layer of %s is missing", megabytes(missing[0]))
	}
	return fmt.Sprintf("%d layers are missing, the smallest of %s", len(missing), megabytes(slices.Min(missing)))
}

func megabytes(bytes int64) string   { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
func minutes(d time.Duration) string { return fmt.Sprintf("%d minutes", int(d.Minutes())) }
func hours(d time.Duration) string   { return fmt.Sprintf("%d hours", int(d.Hours())) }
