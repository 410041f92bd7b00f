package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AdoptionPolicy tells whether the controller may adopt an existing repository.
// +kubebuilder:validation:Enum=Never;IfUntagged;Always
type AdoptionPolicy string

// Adoption policies.
const (
	// The repository is left alone, and the object is Stalled.
	AdoptNever AdoptionPolicy = "Never"
	// The repository is adopted if it has no owner tag of another object. The tag of an earlier object of the same
	// cluster, namespace and name is not one of another object.
	AdoptIfUntagged AdoptionPolicy = "IfUntagged"
	// The repository is adopted, whoever created it, except from another object of this cluster. It is not adopted
	// back after another cluster's object has adopted it.
	AdoptAlways AdoptionPolicy = "Always"
)

// ProvenancePolicy tells whether signed statements are attached to images.
// +kubebuilder:validation:Enum=None;Attach
type ProvenancePolicy string

// Provenance policies.
const (
	// Nothing is attached.
	ProvenanceNone ProvenancePolicy = "None"
	// The statement about an image is attached to it, as a referrer in the form of a Sigstore bundle.
	ProvenanceAttach ProvenancePolicy = "Attach"
)

// DeletionPolicy tells what happens to a repository when its object is deleted.
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// Deletion policies.
const (
	// The repository is deleted with its images, if the controller created it.
	DeletionDelete DeletionPolicy = "Delete"
	// The repository stays as it is.
	DeletionRetain DeletionPolicy = "Retain"
)

// EncryptionType is how ECR encrypts a repository at rest.
// +kubebuilder:validation:Enum=AES256;KMS
type EncryptionType string

// Encryption types.
const (
	// With keys that ECR owns.
	EncryptionAES256 EncryptionType = "AES256"
	// With the KMS key of kmsKeyARN.
	EncryptionKMS EncryptionType = "KMS"
)

// Encryption is how a repository is encrypted at rest.
// +kubebuilder:validation:XValidation:rule="self.type != 'KMS' || has(self.kmsKeyARN)",message="encryption of type KMS needs kmsKeyARN, the ARN of the key"
// +kubebuilder:validation:XValidation:rule="self.type == 'KMS' || !has(self.kmsKeyARN)",message="kmsKeyARN is for encryption of type KMS; remove it, or set type to KMS"
type Encryption struct {
	// type is AES256 (the default, with keys that ECR owns) or KMS (with your key).
	// +optional
	// +default="AES256"
	Type EncryptionType `json:"type,omitempty"`

	// kmsKeyARN is the ARN of the KMS key. Required with type KMS, and forbidden otherwise.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$')",message="must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/id"
	KMSKeyARN string `json:"kmsKeyARN,omitempty"`
}

// ImageStatistics are the number, size and cost of a project's images.
type ImageStatistics struct {
	// count is how many images the repository holds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Count *int64 `json:"count,omitempty"`

	// sizeBytes is the sum of their compressed sizes. A layer that several images share counts once for each.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SizeBytes *int64 `json:"sizeBytes,omitempty"`

	// estimatedMonthlyCostUSD is an upper bound of the monthly storage cost in US dollars, such as "0.42".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	EstimatedMonthlyCostUSD string `json:"estimatedMonthlyCostUSD,omitempty"`

	// oldestExpiresAt is when the oldest image expires.
	// +optional
	OldestExpiresAt *metav1.Time `json:"oldestExpiresAt,omitempty"`

	// dueCount is how many of the images are due: they were pulled within the last 14 days, and expire within 7 days, or
	// the last quarter of a shorter retentionDays. imagecache prebuild --due replaces them, so that no environment waits for a new image.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DueCount *int64 `json:"dueCount,omitempty"`

	// dueExpiresAt is when the first of the due images expires. It is absent if none is due.
	// +optional
	DueExpiresAt *metav1.Time `json:"dueExpiresAt,omitempty"`

	// observedGeneration is the generation of the spec that these figures fit. After an edit the images are counted again.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// readAt is when these figures were read.
	// +optional
	ReadAt *metav1.Time `json:"readAt,omitempty"`
}

// RepositoryStatus is the project's repository in ECR.
type RepositoryStatus struct {
	// name is the repository's name.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// arn is the repository's ARN.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	ARN string `json:"arn,omitempty"`

	// uri is the URI to pull from: registry and repository name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	URI string `json:"uri,omitempty"`

	// origin is Created if the controller created the repository, or Adopted if the controller adopted it.
	// +optional
	Origin RepositoryOrigin `json:"origin,omitempty"`

	// createdAt is when the repository was created, as AWS reports it. It tells this repository from another one that
	// was created later under the same name. The controller writes it.
	// +optional
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`
}

// RepositoryOrigin tells where a repository came from.
// +kubebuilder:validation:Enum=Created;Adopted
type RepositoryOrigin string

// Origins of a repository.
const (
	// The controller created it.
	RepositoryCreated RepositoryOrigin = "Created"
	// It existed before, and the controller adopted it.
	RepositoryAdopted RepositoryOrigin = "Adopted"
)
