package projects

import (
	"time"

	"imagecache.dev/api/v1alpha1"
)

// UsablePullCredentials are a project's pull credentials, if they last for long enough to pull with.
func UsablePullCredentials(project *v1alpha1.ProjectImageCache, now time.Time) *v1alpha1.CredentialReference {
	credentials := project.Status.PullCredentials
	if credentials == nil || credentials.ExpiresAt.Time.Before(now.Add(time.Minute)) {
		return nil
	}
	return credentials.DeepCopy()
}

// PullSecretName is the Secret that a project's environments pull with.
func PullSecretName(project *v1alpha1.ProjectImageCache) string { return project.Name + "-pull" }
