package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProjectImageCacheSpec is the desired state of a project's cache.
// +kubebuilder:validation:XValidation:rule="self.runnerRef == oldSelf.runnerRef",fieldPath=".runnerRef",message="runnerRef can't be changed, because it is part of the repository's name; create another ProjectImageCache instead"
// +kubebuilder:validation:XValidation:rule="self.projectID == oldSelf.projectID",fieldPath=".projectID",message="projectID can't be changed, because it is part of the repository's name; create another ProjectImageCache instead"
// +kubebuilder:validation:XValidation:rule="has(self.encryption) == has(oldSelf.encryption) && (!has(self.encryption) || self.encryption == oldSelf.encryption)",fieldPath=".encryption",message="encryption can't be changed, because ECR fixes it when the repository is made; create another ProjectImageCache instead"
// +kubebuilder:validation:XValidation:rule="!has(self.expireUnusedAfterDays) || self.expireUnusedAfterDays <= (has(self.retentionDays) ? self.retentionDays : 30)",fieldPath=".expireUnusedAfterDays",message="expireUnusedAfterDays can be at most retentionDays, after which images expire in any case; lower it, or raise retentionDays"
type ProjectImageCacheSpec struct {
	// runnerRef names the RunnerImageCache of the project's runner, in the same namespace. Immutable.
	// +required
	RunnerRef RunnerReference `json:"runnerRef,omitempty,omitzero"`

	// projectID identifies the project. It becomes part of the repository's name,
	// gitpod-runner-{runnerID}/projects/{projectID}/image-build: lowercase letters and digits, separated by single
	// dots, underscores or hyphens, 1 to 110 characters. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=110
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+([._-][a-z0-9]+)*$')",message="must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name"
	ProjectID string `json:"projectID,omitempty"`

	// retentionDays is how many days after its publication an image expires, 1 to 365, by default 30. ECR removes the
	// image within a day after that. The cache stops returning it one hour before it expires.
	// +optional
	// +default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=365
	RetentionDays *int32 `json:"retentionDays,omitempty"` //nolint:kubeapilinter // a pointer, as all optional numbers of this API

	// expireUnusedAfterDays removes images that nobody pulled for so many days, 1 to retentionDays, before retentionDays
	// make them expire. By default nothing is removed for that. An image stays for this long after its publication, after
	// each pull and after status.enabledAt, and while the cluster has a request for its hash; then for two to three days
	// more, because ECR may record a pull a day late, an outage of the controller of up to a day goes unnoticed, and the
	// controller looks every 20 hours. Exclude the controller's role from recorded pull times: what it reads counts as pulls
	// otherwise, and images stay for longer (docs/operating.md).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=365
	ExpireUnusedAfterDays *int32 `json:"expireUnusedAfterDays,omitempty"` //nolint:kubeapilinter // a pointer, as all optional numbers of this API

	// keyInputs are additional inputs of the hash besides devcontainer.json and the Dockerfile: BuildContext (the
	// files that the Dockerfile copies), BaseImages (the digests that image and FROM resolve to), Features (local
	// Features and the lockfile), LocalEnv (values of ${localEnv:…}). By default none. docs/hash.md describes what
	// each adds.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	KeyInputs []KeyInputKind `json:"keyInputs,omitempty"`

	// keyCoverage tells what happens if a build reads more than its key covers: Warn (the default) publishes the
	// image with a warning, and RequireComplete keeps the image where it was built (KeyIncomplete).
	// +optional
	// +default="Warn"
	KeyCoverage KeyCoverage `json:"keyCoverage,omitempty"`

	// compression is how the layers of newly published images are compressed: Zstd (the default), which takes fewer bytes
	// and which Docker unpacks in less time, or Gzip. imagecache pulls both into every engine, also into engines that
	// can't read zstd. Choose Gzip if all environments use podman, or if something else pulls the images and can't read
	// zstd, as Docker before 23.0 with its own pull. Images that were published before a change stay as they are, and
	// layers that an engine has in gzip stay in gzip.
	// +optional
	// +default="Zstd"
	Compression LayerCompression `json:"compression,omitempty"`

	// layerReuse tells from which cached images a miss takes the layers of unchanged steps over: Prebuilds (the
	// default; images that a prebuild published), Off, or Any (all images of the project). A build can prepare layers
	// that differ from what its steps say, so with Any, whoever opens an environment decides about layers of others:
	// docs/security.md. Needs a builder with BuildKit. The hash alone decides what is a hit, whatever is set here.
	// +optional
	// +default="Prebuilds"
	LayerReuse LayerReuse `json:"layerReuse,omitempty"`

	// compose is the answer to Docker Compose configurations: Bypassed (the default; they are built as if the cache did
	// not exist, ComposeNotSupported) or Cached, which caches the image of each service that is built, under a hash of
	// its own. Services that use an image as it is are not cached. Needs imagecache on the runner in a version that
	// requests services; requests of earlier versions stay Bypassed.
	// +optional
	// +default="Bypassed"
	Compose ComposePolicy `json:"compose,omitempty"`

	// readers are additional IAM principals that may pull the project's images, such as a scanner's role; up to 20
	// ARNs.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MinLength=20
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=,.@/-]+$')",message="must be the ARN of one IAM role or user, such as arn:aws:iam::123456789012:role/name, without wildcards or variables"
	Readers []string `json:"readers,omitempty"`

	// adoptionPolicy tells whether the controller may adopt an existing repository of this name: Never (the default),
	// IfUntagged (only if it has no owner tag, or that of an earlier object of the same cluster, namespace and name) or
	// Always (also from another cluster's object, which then stops writing and is Stalled; not from another object of
	// this cluster). The controller always reuses a repository that it created for this object, unless another object
	// has adopted it since. An adopted repository keeps its images, and must be encrypted as spec.encryption asks.
	// +optional
	// +default="Never"
	AdoptionPolicy AdoptionPolicy `json:"adoptionPolicy,omitempty"`

	// encryption is how the repository is encrypted at rest: AES256 (the default) or KMS with a key. Immutable, as in
	// ECR.
	// +optional
	// +default={"type": "AES256"}
	Encryption Encryption `json:"encryption,omitempty,omitzero"`

	// provenance tells what others can check with their own tools: None (the default) or Attach, which attaches the
	// signed statement about each image that is published from now on to the image, where cosign verify-attestation
	// and oras discover find it. The manager attaches after the publication, within minutes as a rule; if it can't
	// within an hour, the image stays without. The statement in the image's own manifest, which decides what is a hit,
	// is there in either case.
	// +optional
	// +default="None"
	Provenance ProvenancePolicy `json:"provenance,omitempty"`

	// tags are set on the repository in addition to those inherited from the runner's stack. If both have a key, the
	// stack's tag wins. Up to 45, each key once.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=45
	Tags []Tag `json:"tags,omitempty"`

	// deletionPolicy tells what happens to the repository when this object is deleted: Delete (the default; deletes
	// it only if the controller created it) or Retain.
	// +optional
	// +default="Delete"
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// invalidatePushedBefore makes images that were published before this time count as absent, and removes them. Images
	// with layers that may be older, because they took layers over, count as absent too. Use it for a vulnerability or a bad
	// base image. RFC 3339.
	// +optional
	InvalidatePushedBefore *metav1.Time `json:"invalidatePushedBefore,omitempty"`
}

// ProjectImageCacheStatus is the observed state of a project's cache.
// +kubebuilder:validation:MinProperties=1
type ProjectImageCacheStatus struct {
	// conditions are Ready, RepositoryReady, LifecyclePolicyReady, RepositoryPolicyReady, TagsReady,
	// PullCredentialsReady and ImagesDue, and Reconciling and Stalled while they are True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// observedGeneration is the generation of the spec that this status describes. It is -1 until the controller has
	// seen the object, so that clients don't take an object without conditions as ready.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// repository is the project's ECR repository.
	// +optional
	Repository *RepositoryStatus `json:"repository,omitempty"`

	// appliedTags are the keys of the tags that the controller set. It removes only these.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	AppliedTags []string `json:"appliedTags,omitempty"`

	// appliedHash is a digest of the tags, lifecycle policy and repository policy that the controller set last. It
	// shows changes of the desired state without reading them back from AWS.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	AppliedHash string `json:"appliedHash,omitempty"`

	// pullCredentials names the Secret that environments pull with. Absent until the first environment asks.
	// +optional
	PullCredentials *CredentialReference `json:"pullCredentials,omitempty"`

	// enabledAt is since when the controller knows that environments of the project could pull: since
	// expireUnusedAfterDays was set, the runner's cache was switched on, the images were counted again after more than 24
	// hours without a count, as after an outage of the controller, or a count found that no environment could pull, because
	// the repository lacks its policy or pull credentials can't be made, or that ECR did not record a pull. It is absent
	// without expireUnusedAfterDays and while the runner's cache is off. expireUnusedAfterDays counts from here.
	// +optional
	EnabledAt *metav1.Time `json:"enabledAt,omitempty"`

	// images are the number, size and cost of the project's images, and how many of them are due. The controller counts
	// after a publication, and once a day while an image expires soon, and every 20 hours if expireUnusedAfterDays is set.
	// +optional
	Images *ImageStatistics `json:"images,omitempty"`
}

// ProjectImageCache is one project's cache: one ECR repository, which only the project's environments share.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pic,categories=imagecache
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=".spec.projectID"
// +kubebuilder:printcolumn:name="Runner",type=string,JSONPath=".spec.runnerRef.name"
// +kubebuilder:printcolumn:name="Images",type=integer,JSONPath=".status.images.count"
// +kubebuilder:printcolumn:name="Due",type=integer,JSONPath=".status.images.dueCount",priority=1
// +kubebuilder:printcolumn:name="Bytes",type=integer,JSONPath=".status.images.sizeBytes",priority=1
// +kubebuilder:printcolumn:name="USD/Month",type=string,JSONPath=".status.images.estimatedMonthlyCostUSD"
// +kubebuilder:printcolumn:name="Retention",type=integer,JSONPath=".spec.retentionDays",priority=1
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=".status.repository.uri",priority=1
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].reason"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:selectablefield:JSONPath=".spec.runnerRef.name"
// +kubebuilder:selectablefield:JSONPath=".spec.projectID"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 57",message="the object's name must have at most 57 characters, because it becomes a label and part of a Secret's name"
type ProjectImageCache struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state. You write it.
	// +required
	Spec ProjectImageCacheSpec `json:"spec,omitzero"`

	// status is the observed state. Only the controller writes it.
	// +optional
	// +default={"observedGeneration": -1}
	Status ProjectImageCacheStatus `json:"status,omitzero"`
}

// ProjectImageCacheList is a list of ProjectImageCaches.
// +kubebuilder:object:root=true
type ProjectImageCacheList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the objects.
	Items []ProjectImageCache `json:"items"`
}
