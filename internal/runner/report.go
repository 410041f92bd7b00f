package runner

import (
	"context"
	"time"

	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
)

// failedBuild returns the report of a build that failed.
func failedBuild(took time.Duration, message string) v1alpha1.BuildReport {
	return v1alpha1.BuildReport{
		Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(wholeSeconds(took)), Message: message,
	}
}

// pullReport returns the report of a pull.
func pullReport(outcome v1alpha1.PullOutcome, took time.Duration, message string) v1alpha1.PullReport {
	return v1alpha1.PullReport{Outcome: outcome, DurationSeconds: ptr.To(wholeSeconds(took)), Message: message}
}

// lastWords returns a context for what is still done after ctx has ended.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}
