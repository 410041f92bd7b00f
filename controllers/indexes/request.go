package indexes

import (
	"hash/fnv"
	"strconv"

	"imagecache.dev/api/v1alpha1"
)

// IsOpen reports whether a request is not finished.
func IsOpen(image *v1alpha1.DevcontainerImage) bool { return image.Status.FinishedAt == nil }

// EnvironmentShare maps an environment's ID to one of 4,096 shares. Almost every finished request is its
// environment's only one, and an index with an entry for each would take as much memory as the requests themselves.
func EnvironmentShare(environmentID string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(environmentID)) // never fails
	return strconv.FormatUint(uint64(sum.Sum32()%4096), 16)
}

// IsAtRest reports whether nothing is left to do for a request except to remove it in time.
func IsAtRest(image *v1alpha1.DevcontainerImage) bool {
	return image.Status.FinishedAt != nil && image.Status.ObservedGeneration == image.Generation &&
		len(image.Finalizers) == 0 && image.DeletionTimestamp.IsZero()
}

// HasPublished reports whether a request ended as a builder whose image is in the repository.
func HasPublished(image *v1alpha1.DevcontainerImage) bool {
	return image.Status.Role == v1alpha1.RoleBuilder && image.Status.FinishedAt != nil && image.Status.Image != nil
}

// projectName returns the name of a request's project, or "" without one.
func projectName(image *v1alpha1.DevcontainerImage) string {
	if image.Spec.ProjectRef == nil {
		return ""
	}
	return image.Spec.ProjectRef.Name
}
