package inspect

import (
	"context"
	"slices"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// pullTimes checks that ECR records what environments pull, because images in use expire otherwise. It also checks that
// ECR does not record what the controller reads: otherwise images seem to be used that no environment pulls. The cache
// works without the controller's exclusion, so its absence is a warning.
func (f *findings) pullTimes(ctx context.Context, clients *aws.Clients, cache *v1alpha1.RunnerImageCache) {
	if cache.Status.ControllerARN == "" {
		return // the condition AccountReady tells why
	}
	excluded, err := ecr.PullTimeExclusions(ctx, clients)
	if aws.ClassOf(err) == aws.ClassAccessDenied {
		f.add("pull times", ResultSkipped, "your AWS credentials may not read the exclusions: "+aws.Message(err), "")
		return
	}
	if err != nil {
		f.add("pull times", ResultWarning, aws.Message(err), "check network and region, and run the check again")
		return
	}
	f.pullTimesOf(cache.Status.ControllerARN, cache.Status.PullRoleARN, excluded)
}

// pullTimesOf adds the finding for the ARNs of the controller's role and of the pull role, and the principals whose
// pulls are not recorded.
func (f *findings) pullTimesOf(controllerARN, pullRoleARN string, excluded []string) {
	switch {
	case slices.Contains(excluded, pullRoleARN):
		f.add(
			"pull times", ResultFailed,
			"ECR does not record what environments pull, so images in use seem to be unused",
			"run aws ecr deregister-pull-time-update-exclusion --principal-arn "+pullRoleARN+
				" (docs/operating.md, Pull times)",
		)
	case slices.Contains(excluded, controllerARN):
		f.ok("pull times", "ECR does not record what the controller reads")
	default:
		f.add(
			"pull times", ResultWarning,
			"ECR records what the controller reads as pulls, so images seem to be used that no environment pulls",
			"run aws ecr register-pull-time-update-exclusion --principal-arn "+controllerARN+
				" once for each account and region (docs/operating.md, Pull times)",
		)
	}
}
