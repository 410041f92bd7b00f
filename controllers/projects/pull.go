package projects

import (
	"time"

	"imagecache.dev/api/v1alpha1"
)

// UsablePullCredentials returns a project's pull credentials if they are valid for long enough to pull an image.
func UsablePullCredentials(project *v1alpha1.ProjectImageCache, now time.Time) *v1alpha1.CredentialReference {
	credentials := project.Status.PullCredentials
	if credentials == nil || credentials.ExpiresAt.Time.Before(now.Add(time.Minute)) {
		return nil
	}
	return credentials.DeepCopy()
}

// PullSecretName returns the name of the Secret that a project's environments pull with.
func PullSecretName(project *v1alpha1.ProjectImageCache) string { return project.Name + "-pull" }
