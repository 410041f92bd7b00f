package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Trigger is why a request asks for an image.
// +kubebuilder:validation:Enum=EnvironmentCreated;Rebuild;Prebuild
type Trigger string

// Triggers. TriggerEnvironmentCreated and TriggerPrebuild may publish.
const (
	// The first build of an environment, which may publish.
	TriggerEnvironmentCreated Trigger = "EnvironmentCreated"
	// A rebuild of an environment that exists, which may pull and never publishes.
	TriggerRebuild Trigger = "Rebuild"
	// A build that no environment waits for, by CI or a schedule, which may publish.
	TriggerPrebuild Trigger = "Prebuild"
)

// CachePolicy tells whether a request accepts a cached image.
// +kubebuilder:validation:Enum=UseCached;Refresh
type CachePolicy string

// Cache policies.
const (
	// A cached image is used.
	CachePolicyUseCached CachePolicy = "UseCached"
	// A cached image counts as a miss, and the new image replaces it.
	CachePolicyRefresh CachePolicy = "Refresh"
)

// DevcontainerImageSpec is one environment's request, and the runner's reports about it.
// +kubebuilder:validation:XValidation:rule="!(has(self.configHash) && has(self.configuration))",message="give configHash or configuration, not both: the controller computes the hash of a configuration itself"
// +kubebuilder:validation:XValidation:rule="has(self.configHash) || has(self.configuration) || self.configurationType == 'Compose' || !has(self.projectRef)",message="give configHash, or configuration with the contents, so that an image can be looked up"
// +kubebuilder:validation:XValidation:rule="self.configurationType != 'Compose' || !has(self.configuration)",fieldPath=".configuration",message="configuration can't hold the files of Docker Compose; give configHash and service instead, as imagecache hash prints them"
// +kubebuilder:validation:XValidation:rule="self.configurationType != 'Compose' || !has(self.configHash) || has(self.service)",fieldPath=".configHash",message="Docker Compose builds an image for each service; name the service of configHash in service"
// +kubebuilder:validation:XValidation:rule="!has(self.service) || self.configurationType == 'Compose'",fieldPath=".service",message="only Docker Compose configurations have services; remove service, or set configurationType to Compose"
// +kubebuilder:validation:XValidation:rule="!has(self.service) || self.configurationType != 'Compose' || has(self.configHash)",fieldPath=".service",message="service tells whose hash configHash is; give configHash too, or remove service"
// +kubebuilder:validation:XValidation:rule="self.trigger != 'Prebuild' || has(self.projectRef)",message="a prebuild publishes to a project's cache; set projectRef"
// +kubebuilder:validation:XValidation:rule="!has(self.inputs) || has(self.configHash)",fieldPath=".inputs",message="inputs explain configHash; give configHash too, or remove inputs"
// +kubebuilder:validation:XValidation:rule="!has(self.uploadAttempt) || (has(self.build) && self.build.outcome == 'Succeeded')",fieldPath=".uploadAttempt",message="uploadAttempt follows a build that Succeeded; report the build first"
// +kubebuilder:validation:XValidation:rule="!has(self.configuration) || self.configurationType != 'Dockerfile' || has(self.configuration.dockerfile)",message="a configuration of type Dockerfile needs configuration.dockerfile, the Dockerfile's contents"
// +kubebuilder:validation:XValidation:rule="!has(self.configuration) || self.configurationType != 'Image' || !has(self.configuration.dockerfile)",message="a configuration of type Image has no Dockerfile; remove configuration.dockerfile, or set configurationType to Dockerfile"
// +kubebuilder:validation:XValidation:rule="has(self.projectRef) == has(oldSelf.projectRef) && (!has(self.projectRef) || self.projectRef == oldSelf.projectRef)",fieldPath=".projectRef",message="projectRef can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="self.environmentID == oldSelf.environmentID",fieldPath=".environmentID",message="environmentID can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="self.trigger == oldSelf.trigger",fieldPath=".trigger",message="trigger can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.platform) == has(oldSelf.platform) && (!has(self.platform) || self.platform == oldSelf.platform)",fieldPath=".platform",message="platform can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="self.configurationType == oldSelf.configurationType",fieldPath=".configurationType",message="configurationType can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.configHash) == has(oldSelf.configHash) && (!has(self.configHash) || self.configHash == oldSelf.configHash)",fieldPath=".configHash",message="configHash can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.service) == has(oldSelf.service) && (!has(self.service) || self.service == oldSelf.service)",fieldPath=".service",message="service can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.configuration) == has(oldSelf.configuration) && (!has(self.configuration) || self.configuration == oldSelf.configuration)",fieldPath=".configuration",message="configuration can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.inputs) == has(oldSelf.inputs) && (!has(self.inputs) || self.inputs == oldSelf.inputs)",fieldPath=".inputs",message="inputs can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.cachePolicy) == has(oldSelf.cachePolicy) && (!has(self.cachePolicy) || self.cachePolicy == oldSelf.cachePolicy)",fieldPath=".cachePolicy",message="cachePolicy can't be changed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="has(self.ttlSecondsAfterFinished) == has(oldSelf.ttlSecondsAfterFinished) && (!has(self.ttlSecondsAfterFinished) || self.ttlSecondsAfterFinished == oldSelf.ttlSecondsAfterFinished)",fieldPath=".ttlSecondsAfterFinished",message="ttlSecondsAfterFinished can't be changed; delete the object when you don't need it any more"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.build) || (has(self.build) && self.build == oldSelf.build)",fieldPath=".build",message="build is reported once and can't be changed or removed; create another DevcontainerImage instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.pull) || (has(self.pull) && self.pull == oldSelf.pull)",fieldPath=".pull",message="pull is reported once and can't be changed or removed"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.uploadAttempt) || (has(self.uploadAttempt) && self.uploadAttempt >= oldSelf.uploadAttempt)",fieldPath=".uploadAttempt",message="uploadAttempt only grows; set it to one more than it was"
type DevcontainerImageSpec struct {
	// projectRef names the ProjectImageCache of the environment's project, in the same namespace. Absent: the
	// environment has no project, and the answer is Bypassed. Immutable.
	// +optional
	ProjectRef *ProjectReference `json:"projectRef,omitempty"`

	// environmentID names the environment that asks, 1 to 128 characters. A prebuild, which belongs to no environment,
	// sets a name for itself. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",message="must be letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit"
	EnvironmentID string `json:"environmentID,omitempty"`

	// trigger is EnvironmentCreated (the first build of an environment, which may publish), Rebuild (a rebuild of an
	// existing environment, which may only pull) or Prebuild (a build by CI or a schedule, which may publish; creating
	// an object with it needs the verb prebuild on projectimagecaches). Immutable.
	// +required
	Trigger Trigger `json:"trigger,omitempty"`

	// platform is the image's operating system and architecture, by default linux/amd64. It is part of the hash.
	// Immutable.
	// +optional
	// +default="linux/amd64"
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$')",message="must read os/architecture or os/architecture/variant, such as linux/amd64"
	Platform string `json:"platform,omitempty"`

	// configurationType is Image, Dockerfile or Compose. For Compose, the answer is Bypassed unless the project's compose
	// is Cached and the request has configHash and service. Immutable.
	// +required
	ConfigurationType ConfigurationType `json:"configurationType,omitempty"`

	// service is the Docker Compose service whose image is asked for, 1 to 128 letters, digits, dots, underscores and
	// hyphens. Set it, with the service's configHash, if configurationType is Compose, and only then. A configuration with
	// several services that are built makes a request for each; each may publish. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$')",message="must be letters, digits, dots, underscores and hyphens, as the services of Docker Compose are named"
	Service string `json:"service,omitempty"`

	// configHash is the configuration hash as `imagecache hash` computes it: 64 lowercase hex characters. Set either
	// configHash or configuration. If configurationType is Compose, set configHash, with service, or neither. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{64}$')",message="must be 64 lowercase hex characters, as imagecache hash prints them"
	ConfigHash string `json:"configHash,omitempty"`

	// configuration is the contents of the configuration. The controller computes the hash from them. A project with
	// keyInputs needs configHash instead (KeyInputsNeedWorkspace). Immutable.
	// +optional
	Configuration *InlineConfiguration `json:"configuration,omitempty"`

	// inputs are the inputs of configHash, up to 32, each with its digest. They explain a miss. Immutable.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Inputs []KeyInput `json:"inputs,omitempty"`

	// cachePolicy is UseCached (the default) or Refresh, which replaces the cached image. Creating an object with
	// Refresh needs the verb refresh on projectimagecaches, or prebuild if trigger is Prebuild. Immutable.
	// +optional
	// +default="UseCached"
	CachePolicy CachePolicy `json:"cachePolicy,omitempty"`

	// build is the runner's report of its build. The runner writes it once, by a merge patch, when status.role is
	// Builder and the build is over. The controller checks it, lists status.missingLayers, and publishes the image
	// when they are uploaded. Writing it needs the verb report on devcontainerimages. It can't be changed or removed.
	// +optional
	Build *BuildReport `json:"build,omitempty"`

	// pull is the runner's report of its pull of status.image. The runner writes it once, by a merge patch. The
	// controller computes status.savedSeconds from it. Writing it needs the verb report on devcontainerimages. It
	// can't be changed or removed.
	// +optional
	Pull *PullReport `json:"pull,omitempty"`

	// uploadAttempt counts the runner's uploads of status.missingLayers, 0 to 1,000. The runner raises the number by
	// one each time it has uploaded all of them. The number can only grow, and needs a build that Succeeded. Writing
	// it needs the verb report on devcontainerimages.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	UploadAttempt *int32 `json:"uploadAttempt,omitempty"`

	// ttlSecondsAfterFinished is how many seconds after its end the object is removed, 0 to 30 days, by default one
	// day. Immutable.
	// +optional
	// +default=86400
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2592000
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// DevcontainerImageStatus is the cache's answer.
// +kubebuilder:validation:MinProperties=1
type DevcontainerImageStatus struct {
	// conditions are Ready, LookedUp, Published, PushCredentialsRemoved and Pulled, and Reconciling and Stalled while
	// they are True.
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

	// configHash is the hash that was looked up, 64 lowercase hex characters. It is also the image's tag.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ConfigHash string `json:"configHash,omitempty"`

	// cacheResult is Hit, Miss or Bypassed. Once set, it never changes.
	// +optional
	CacheResult CacheResult `json:"cacheResult,omitempty"`

	// reason tells in one word why: for a miss ImageNotFound, Expired, Invalidated, PlatformMismatch, NotVerified,
	// Archived or Refresh; for a bypass NonProjectEnvironment, ComposeNotSupported, UnsupportedRunner or
	// CacheDisabled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// explanation describes the reason in sentences and, for a miss, lists the differences from the nearest cached
	// image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Explanation string `json:"explanation,omitempty"`

	// role is what this environment does after a miss: Builder, Waiter or LocalBuild.
	// +optional
	Role Role `json:"role,omitempty"`

	// builder is the environment that builds this hash: this environment itself, or the one that a waiter waits for.
	// +optional
	Builder *BuilderReference `json:"builder,omitempty"`

	// layersFrom is the cached image whose layers the builder may take over for steps that are unchanged. Absent where
	// the project's layerReuse allows none, or no similar image is cached.
	// +optional
	LayersFrom *LayerSource `json:"layersFrom,omitempty"`

	// repositoryURI is the URI of the repository that holds the image, or will hold it after the upload.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	RepositoryURI string `json:"repositoryURI,omitempty"`

	// replacesDigest is the digest of an unusable image that has this hash as its tag. It stays until publishing
	// replaces it.
	// +optional
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	ReplacesDigest string `json:"replacesDigest,omitempty"`

	// missingLayers are the digests of the reported image's blobs that the repository doesn't have yet. The runner
	// uploads them and then raises spec.uploadAttempt.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=71
	// +kubebuilder:validation:items:MaxLength=71
	MissingLayers []string `json:"missingLayers,omitempty"`

	// observedUploadAttempt is the spec.uploadAttempt that missingLayers was computed for.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedUploadAttempt *int32 `json:"observedUploadAttempt,omitempty"`

	// image is the image to use.
	// +optional
	Image *CachedImage `json:"image,omitempty"`

	// savedSeconds is how many seconds the image saved: its buildSeconds, less the duration of the pull as soon as the
	// runner has reported the pull. It is 0 if the pull failed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SavedSeconds *int64 `json:"savedSeconds,omitempty"`

	// pullCredentials names the Secret that holds the credentials to pull the image.
	// +optional
	PullCredentials *CredentialReference `json:"pullCredentials,omitempty"`

	// pushCredentials names the Secret that holds the credentials to upload missingLayers. The Secret exists only
	// from the check of the report to the end of the request. While the upload advances, the controller replaces the
	// password in the Secret three minutes before it stops working.
	// +optional
	PushCredentials *CredentialReference `json:"pushCredentials,omitempty"`

	// upload is how the upload of missingLayers is doing. The controller grants rights to it for 15 minutes, and again
	// while it advances, for up to 6 hours.
	// +optional
	Upload *UploadStatus `json:"upload,omitempty"`

	// finishedAt is when the request was finished. ttlSecondsAfterFinished counts from it.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// DevcontainerImage is one environment's request for one image. The runner creates it, and the controller answers in
// the status: pull this image, build and publish, wait for another environment's build, or build without the cache.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dci,categories=imagecache
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=".spec.projectRef.name"
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=".spec.environmentID"
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=".spec.service"
// +kubebuilder:printcolumn:name="Result",type=string,JSONPath=".status.cacheResult"
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=".status.role"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].reason"
// +kubebuilder:printcolumn:name="Saved(s)",type=integer,JSONPath=".status.savedSeconds"
// +kubebuilder:printcolumn:name="Hash",type=string,JSONPath=".status.configHash",priority=1
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=".status.explanation",priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:selectablefield:JSONPath=".spec.environmentID"
// +kubebuilder:selectablefield:JSONPath=".spec.projectRef.name"
// +kubebuilder:selectablefield:JSONPath=".status.configHash"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.cacheResult) || (has(self.status) && has(self.status.cacheResult) && self.status.cacheResult == oldSelf.status.cacheResult)",fieldPath=".status.cacheResult",message="cacheResult is decided once and can't be changed or removed"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 248",message="the object's name must have at most 248 characters, because it becomes part of a Secret's name"
type DevcontainerImage struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the request, and the runner's reports. The runner writes it.
	// +required
	Spec DevcontainerImageSpec `json:"spec,omitzero"`

	// status is the cache's answer. Only the controller writes it.
	// +optional
	// +default={"observedGeneration": -1}
	Status DevcontainerImageStatus `json:"status,omitzero"`
}

// DevcontainerImageList is a list of DevcontainerImages.
// +kubebuilder:object:root=true
type DevcontainerImageList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the objects.
	Items []DevcontainerImage `json:"items"`
}
