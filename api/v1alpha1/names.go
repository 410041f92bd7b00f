package v1alpha1

// Labels, annotations and finalizers that the controllers and the runner set. All are ours: a value found under one of
// them was written by this project.
const (
	// LabelProject is on everything that belongs to one ProjectImageCache and holds that object's name.
	LabelProject = "imagecache.dev/project"
	// LabelCredentials is on credential Secrets: CredentialsPull or CredentialsPush.
	LabelCredentials = "imagecache.dev/credentials"
	// LabelManagedBy is the usual app.kubernetes.io/managed-by, with ManagedBy as its value.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "imagecache.dev"

	// AnnotationAbandon on an object that is being deleted makes the controller let go of it without touching AWS, for
	// accounts that are gone. The value is free text, such as who decided it.
	AnnotationAbandon = "imagecache.dev/abandon"
	// AnnotationExpiresAt on a credential Secret is the time, in RFC 3339, from which its password no longer works.
	AnnotationExpiresAt = "imagecache.dev/expires-at"
	// AnnotationPullRequestedAt on a ProjectImageCache is the time, in RFC 3339, when an environment last asked for
	// pull credentials. They are refreshed while it is recent.
	AnnotationPullRequestedAt = "imagecache.dev/pull-requested-at"

	// AnnotationEvict on a ProjectImageCache names hashes, separated by commas, whose images are to be removed from the
	// repository. The controller takes each out of the annotation once it is done. `imagecache evict` writes it.
	AnnotationEvict = "imagecache.dev/evict"

	// Finalizer holds an object until what it made in AWS is removed or left, as the object says.
	Finalizer = "imagecache.dev/aws"
)

// Values of LabelCredentials.
const (
	CredentialsPull = "pull"
	CredentialsPush = "push"
)
