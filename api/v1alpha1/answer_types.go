package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CacheResult is the cache's answer.
// +kubebuilder:validation:Enum=Hit;Miss;Bypassed
type CacheResult string

// Answers of the cache.
const (
	// A usable image was found.
	CacheHit CacheResult = "Hit"
	// No usable image was found.
	CacheMiss CacheResult = "Miss"
	// The cache does not apply, and was not asked.
	CacheBypassed CacheResult = "Bypassed"
)

// Role is what an environment does after a miss.
// +kubebuilder:validation:Enum=Builder;Waiter;LocalBuild
type Role string

// Roles on a miss.
const (
	// RoleBuilder builds the image and publishes it.
	RoleBuilder Role = "Builder"
	// RoleWaiter waits for the builder's image, or builds without publishing.
	RoleWaiter Role = "Waiter"
	// RoleLocalBuild builds without publishing.
	RoleLocalBuild Role = "LocalBuild"
)

// CachedImage is an image in the cache.
type CachedImage struct {
	// reference is the reference to pull: repository@digest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reference string `json:"reference,omitempty"`

	// digest is the digest of the image's manifest.
	// +required
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest,omitempty"`

	// sizeBytes is the compressed size of the image.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SizeBytes *int64 `json:"sizeBytes,omitempty"`

	// pushedAt is when the image was published.
	// +optional
	PushedAt *metav1.Time `json:"pushedAt,omitempty"`

	// expiresAt is the time after which ECR may remove the image.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// buildSeconds is how many seconds the image takes to build on a machine without an engine's layer cache, as far as
	// known: the duration of its build, or of an earlier similar one that took longer, if steps came from a layer cache.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BuildSeconds *int64 `json:"buildSeconds,omitempty"`
}

// LayerSource is a cached image of other inputs, some of whose layers a build may take over.
type LayerSource struct {
	// reference is the reference of the image: repository@digest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reference string `json:"reference,omitempty"`

	// configHash is the hash of the image, 64 lowercase hex characters.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ConfigHash string `json:"configHash,omitempty"`

	// secretName is the name of the Secret with the credentials to pull from the repository. The controller may write
	// it a moment after this answer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// layersSince is when the build of the oldest of its layers may have begun: that of the image itself, or of one from
	// which it took layers over. Once that is retentionDays ago, the image lends no layers any more.
	// +optional
	LayersSince *metav1.Time `json:"layersSince,omitempty"`
}

// UploadStatus is how the upload of an image's layers is doing.
type UploadStatus struct {
	// startedAt is when the first upload rights were granted, by AWS' clock. The last ones end six hours later at most.
	// +required
	StartedAt metav1.Time `json:"startedAt,omitempty,omitzero"`

	// grants is how often the controller has granted upload rights for the image, 1 to 30. The controller counts a grant
	// before it makes it.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Grants int32 `json:"grants,omitempty"`

	// grantsSinceProgress is how many of the grants were made since the repository had a further layer, 1 to 30. The
	// controller grants no more when a layer takes longer than it would over a line of 8 Mbit/s, or longer than one
	// grant if it is small.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	GrantsSinceProgress int32 `json:"grantsSinceProgress,omitempty"`

	// missingLayers is the smallest number of layers that the repository has lacked at a grant.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	MissingLayers int32 `json:"missingLayers,omitempty"`
}

// BuilderReference names the environment that builds the image of a hash.
type BuilderReference struct {
	// name is the name of the builder's DevcontainerImage.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// environmentID is the ID of the builder's environment.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	EnvironmentID string `json:"environmentID,omitempty"`

	// leaseName is the Lease that the builder's runner renews while it builds.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LeaseName string `json:"leaseName,omitempty"`

	// startedAt is when the environment became the builder.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// expectedSeconds is how many seconds the build may take, estimated from earlier builds of the project.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ExpectedSeconds *int64 `json:"expectedSeconds,omitempty"`

	// uploadingSince is when the upload of the builder's image began. The controller shows it to waiters once it has
	// granted further upload rights: the upload takes longer than 12 minutes, and may take up to 6 hours. Runners then
	// build for themselves, unless they were told how long to wait.
	// +optional
	UploadingSince *metav1.Time `json:"uploadingSince,omitempty"`
}
