package v1alpha1

// Labels, annotations and finalizers of this project. The controllers and the runner set them, and people set
// AnnotationAbandon.
const (
	// LabelProject is on everything that belongs to one ProjectImageCache and holds that object's name.
	LabelProject = "imagecache.dev/project"
	// LabelCredentials is on credential Secrets: CredentialsPull or CredentialsPush.
	LabelCredentials = "imagecache.dev/credentials"
	// LabelManagedBy is the usual app.kubernetes.io/managed-by, with ManagedBy as its value.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "imagecache.dev"

	// AnnotationAbandon, on an object that is being deleted, makes the controller release the object without calling
	// AWS, for accounts that no longer exist. The value is free text, such as the name of the person who decided it.
	AnnotationAbandon = "imagecache.dev/abandon"
	// AnnotationExpiresAt on a credential Secret is the time, in RFC 3339, when its password stops working.
	AnnotationExpiresAt = "imagecache.dev/expires-at"
	// AnnotationPullRequestedAt on a ProjectImageCache is the time, in RFC 3339, when an environment last asked for
	// pull credentials. The controller refreshes the credentials while that time is recent.
	AnnotationPullRequestedAt = "imagecache.dev/pull-requested-at"

	// AnnotationEvict on a ProjectImageCache lists hashes, separated by commas, whose images the controller removes
	// from the repository. The controller removes each hash from the annotation when its image is gone. `imagecache
	// evict` writes it.
	AnnotationEvict = "imagecache.dev/evict"

	// AnnotationRotate on the Secret of the signing keys makes the controller create a new key that signs, keep the
	// earlier one to verify, and remove the annotation. The value is free text, such as the name of the person who
	// decided it.
	AnnotationRotate = "imagecache.dev/rotate"

	// Finalizer keeps an object until the controller has removed or released what it created in AWS, as the object
	// asks. It keeps a DevcontainerImage until its upload rights are removed and its build lease is released.
	Finalizer = "imagecache.dev/aws"
)

// Values of LabelCredentials.
const (
	CredentialsPull = "pull"
	CredentialsPush = "push"
)

// EventDriftCorrected is the reason of the event for a difference in AWS that the controller corrected. The note
// describes the difference.
const EventDriftCorrected = "DriftCorrected"
