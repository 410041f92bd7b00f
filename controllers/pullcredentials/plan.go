package pullcredentials

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
)

const (
	// pullDuration is how long pull credentials last: the longest session that AWS grants by role chaining
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html).
	pullDuration = time.Hour
	// pullAskedFor is how long after its last request a project's pull credentials are refreshed.
	pullAskedFor = 24 * time.Hour
	// refreshFrom and refreshTo are the shares of their lifetime between which credentials are replaced.
	refreshFrom, refreshTo = 0.60, 0.70
)

// pullAction is what to do with a project's pull credentials.
type pullAction string

const (
	pullKeep   pullAction = "Keep"
	pullGrant  pullAction = "Grant"
	pullRemove pullAction = "Remove"
)

// pullInput is the input of the decision.
type pullInput struct {
	uid      types.UID
	now      time.Time
	disabled bool
	asked    bool
	// lost means that another client removed the Secret.
	lost    bool
	current *v1alpha1.CredentialReference
}

// planPull decides what to do, and when to decide again. Zero means after the next change.
func planPull(in pullInput) (action pullAction, next time.Duration) {
	switch {
	case in.current == nil && (!in.asked || in.disabled):
		return pullKeep, 0
	case in.disabled:
		return pullRemove, 0
	case !in.asked && !in.now.Before(in.current.ExpiresAt.Time):
		return pullRemove, 0
	case !in.asked:
		return pullKeep, in.current.ExpiresAt.Sub(in.now)
	case in.current == nil, in.lost, !in.now.Before(refreshAt(in.current.ExpiresAt, in.uid)):
		return pullGrant, 0
	}
	return pullKeep, refreshAt(in.current.ExpiresAt, in.uid).Sub(in.now)
}

// refreshAt returns when credentials of pullDuration are replaced. Each project has its own share of their lifetime.
func refreshAt(expiresAt metav1.Time, uid types.UID) time.Time {
	lived := refreshFrom + (refreshTo-refreshFrom)*schedule.Share(uid)
	return expiresAt.Add(-time.Duration((1 - lived) * float64(pullDuration)))
}

// pullAsked reports whether environments of a project need pull credentials: one has an open request, or asked
// recently. last is when the project's newest request was created, and open are the requests that are not finished.
func pullAsked(project *v1alpha1.ProjectImageCache, last time.Time, open []v1alpha1.DevcontainerImage, now time.Time) bool {
	if now.Sub(last) < pullAskedFor {
		return true
	}
	if at, err := time.Parse(time.RFC3339, project.Annotations[v1alpha1.AnnotationPullRequestedAt]); err == nil && now.Sub(at) < pullAskedFor {
		return true
	}
	for n := range open {
		if asksForPull(&open[n], now) {
			return true
		}
	}
	return false
}

// asksForPull reports whether a request is a reason to have pull credentials. A request with a Docker Compose
// configuration is one when it has an answer: most projects bypass them.
func asksForPull(request *v1alpha1.DevcontainerImage, now time.Time) bool {
	switch {
	case request.Spec.ProjectRef == nil, request.Status.CacheResult == v1alpha1.CacheBypassed:
		return false
	case request.Spec.ConfigurationType == v1alpha1.ConfigurationCompose && request.Status.CacheResult == "":
		return false
	}
	return request.Status.FinishedAt == nil || now.Sub(request.CreationTimestamp.Time) < pullAskedFor
}
