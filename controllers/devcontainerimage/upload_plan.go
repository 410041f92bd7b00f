package devcontainerimage

import (
	"fmt"
	"slices"
	"time"

	"imagecache.dev/api/v1alpha1"
)

const (
	// renewBefore is how long before the end of upload rights the next ones are granted. The runner has them before it
	// needs them, and begins nothing with the old ones that outlasts them.
	renewBefore = 3 * time.Minute
	// grantLasts is how long the runner uploads with one grant.
	grantLasts = pushDuration - renewBefore
	// maxUpload limits an upload, however well it goes. The largest layer that ECR takes, 52,000 MiB, takes so long at
	// 20 Mbit/s (https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html).
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
	// uploadRenew: the rights end soon, and the upload advances.
	uploadRenew uploadStep = "Renew"
	// uploadEnd: the rights have ended, and there will be no others.
	uploadEnd uploadStep = "End"
)

// uploadFacts are what decides about upload rights that exist.
type uploadFacts struct {
	// left is how long the rights last.
	left   time.Duration
	before v1alpha1.UploadStatus
	// missing are the sizes in bytes of the blobs that the repository lacks, as the manifest states them: at least one.
	missing []int64
}

// planUpload decides about upload rights, and tells why they end. Only layers that the repository has count as
// progress: what a runner says about its upload counts for nothing. A layer that a slow line can't take within one
// grant is waited for by its size. Whatever a runner does, its upload ends after maxUpload.
func planUpload(in uploadFacts) (step uploadStep, why string) {
	if in.left > renewBefore {
		return uploadWait, ""
	}
	mayRenew := in.before.Grants < maxGrants && (shrank(in) || in.before.GrantsSinceProgress < grantsFor(in.missing))
	switch {
	case mayRenew:
		return uploadRenew, ""
	case in.left > 0:
		return uploadWait, ""
	case in.before.Grants >= maxGrants:
		return uploadEnd, fmt.Sprintf("the upload did not end within %s; %s", hours(maxUpload), lacking(in.missing))
	}
	return uploadEnd, fmt.Sprintf("the runner completed no layer for %s; %s",
		minutes(time.Duration(in.before.GrantsSinceProgress-1)*grantLasts+pushDuration), lacking(in.missing))
}

// nextUpload returns the status of an upload after one more grant. before is nil at the first.
func nextUpload(before *v1alpha1.UploadStatus, missing []int64) *v1alpha1.UploadStatus {
	next := &v1alpha1.UploadStatus{Grants: 1, GrantsSinceProgress: 1, MissingLayers: int32(len(missing))}
	if before != nil {
		next.Grants += before.Grants
		if !shrank(uploadFacts{before: *before, missing: missing}) {
			next.GrantsSinceProgress += before.GrantsSinceProgress
			next.MissingLayers = before.MissingLayers
		}
	}
	return next
}

// reportLeft returns how long a runner whose layers have all arrived may take to report its upload: until the rights
// would have ended had they been granted as often as possible. rights is how long they last.
func reportLeft(upload *v1alpha1.UploadStatus, rights time.Duration) time.Duration {
	if upload == nil {
		return rights
	}
	return rights + time.Duration(maxGrants-upload.Grants)*grantLasts
}

// shrank reports whether fewer layers are missing than at the grant before.
func shrank(in uploadFacts) bool { return int32(len(in.missing)) < in.before.MissingLayers }

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
