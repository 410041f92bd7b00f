package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Provider is where a runner runs.
// +kubebuilder:validation:Enum=AWSEC2;AWSECS;GCP;Azure;Linux
type Provider string

// Providers. Only runners of ProviderAWSEC2 use the cache. A runner of another provider is accepted and reported as
// UnsupportedProvider.
const (
	// The runner starts EC2 instances. Its projects use the cache.
	ProviderAWSEC2 Provider = "AWSEC2"
	// The runner uses ECS. Not cached.
	ProviderAWSECS Provider = "AWSECS"
	// The runner is in Google Cloud. Not cached.
	ProviderGCP Provider = "GCP"
	// The runner is in Azure. Not cached.
	ProviderAzure Provider = "Azure"
	// The runner is a Linux machine. Not cached.
	ProviderLinux Provider = "Linux"
)

// Tier is the plan that a runner's organisation is on.
// +kubebuilder:validation:Enum=Free;Core;Enterprise
type Tier string

// Tiers.
const (
	// The cache is always on.
	TierFree Tier = "Free"
	// The cache can be switched off.
	TierCore Tier = "Core"
	// The cache can be switched off.
	TierEnterprise Tier = "Enterprise"
)

// CacheMode switches a runner's cache on or off.
// +kubebuilder:validation:Enum=Enabled;Disabled
type CacheMode string

// Cache modes.
const (
	// Environments look images up, pull and publish.
	CacheEnabled CacheMode = "Enabled"
	// Environments publish and pull nothing; cached images stay until they expire.
	CacheDisabled CacheMode = "Disabled"
)

// Scanning names a scanner of AWS that may read a runner's images.
// +kubebuilder:validation:Enum=None;AmazonInspector
type Scanning string

// Scanners.
const (
	// No scanner of AWS reads the images. A project's readers may name others.
	ScanningNone Scanning = "None"
	// The service-linked role of Amazon Inspector in the runner's account reads the images, for enhanced scanning.
	ScanningAmazonInspector Scanning = "AmazonInspector"
)

// RolesType tells who creates a runner's two IAM roles.
// +kubebuilder:validation:Enum=Managed;Provided
type RolesType string

// Kinds of roles.
const (
	// The controller creates and maintains both roles.
	RolesManaged RolesType = "Managed"
	// Both roles exist already, and the controller only assumes them.
	RolesProvided RolesType = "Provided"
)

// RunnerRoles tells which IAM roles the runner's credentials come from.
// +kubebuilder:validation:XValidation:rule="self.type != 'Provided' || (has(self.pullRoleARN) && has(self.pushRoleARN))",message="roles of type Provided need both pullRoleARN and pushRoleARN; set both, or use type Managed"
// +kubebuilder:validation:XValidation:rule="self.type != 'Managed' || (!has(self.pullRoleARN) && !has(self.pushRoleARN))",message="roles of type Managed are made by the controller; remove pullRoleARN and pushRoleARN, or use type Provided"
// +kubebuilder:validation:XValidation:rule="self.type != 'Provided' || !has(self.permissionsBoundaryARN)",message="permissionsBoundaryARN belongs to roles that the controller makes; remove it, or use type Managed"
type RunnerRoles struct {
	// type is Managed (the default: the controller creates and maintains the pull role and the push role) or Provided
	// (both roles exist already, pullRoleARN and pushRoleARN name them, and the controller only assumes them).
	// +optional
	// +default="Managed"
	Type RolesType `json:"type,omitempty"`

	// pullRoleARN is the ARN of the IAM role that pull credentials come from. Only for type Provided.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')",message="must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables"
	PullRoleARN string `json:"pullRoleARN,omitempty"`

	// pushRoleARN is the ARN of the IAM role that upload rights come from. Only for type Provided.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')",message="must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables"
	PushRoleARN string `json:"pushRoleARN,omitempty"`

	// permissionsBoundaryARN is the ARN of the policy that is set as the permissions boundary of both roles, for
	// accounts that require one. Only for type Managed.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9_+=,.@/-]+$')",message="must be the ARN of one IAM policy, such as arn:aws:iam::123456789012:policy/name"
	PermissionsBoundaryARN string `json:"permissionsBoundaryARN,omitempty"`
}

// RunnerImageCacheSpec is the desired state of a runner's cache.
// +kubebuilder:validation:XValidation:rule="self.runnerID == oldSelf.runnerID",fieldPath=".runnerID",message="runnerID can't be changed, because it is part of every repository's name; create another RunnerImageCache instead"
// +kubebuilder:validation:XValidation:rule="self.region == oldSelf.region",fieldPath=".region",message="region can't be changed, because repositories stay where they are; create another RunnerImageCache instead"
// +kubebuilder:validation:XValidation:rule="self.cache != 'Disabled' || self.tier in ['Core', 'Enterprise']",fieldPath=".cache",message="the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier"
// +kubebuilder:validation:XValidation:rule="!has(self.externalID) || has(self.assumeRoleARN)",fieldPath=".externalID",message="externalID is for assumeRoleARN; set both, or remove externalID"
type RunnerImageCacheSpec struct {
	// runnerID identifies the runner. It becomes part of every repository's name,
	// gitpod-runner-{runnerID}/projects/{projectID}/image-build: lowercase letters and digits, separated by single
	// dots, underscores or hyphens, 1 to 110 characters. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=110
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+([._-][a-z0-9]+)*$')",message="must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name"
	RunnerID string `json:"runnerID,omitempty"`

	// provider is where the runner runs. Only AWSEC2 runners use the cache. Another provider is reported as
	// UnsupportedProvider, and its environments bypass the cache.
	// +optional
	// +default="AWSEC2"
	Provider Provider `json:"provider,omitempty"`

	// region is the AWS region of the runner and of its repositories, such as eu-central-1. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2,}(-[a-z]+)+-[0-9]+$')",message="must be the name of an AWS region, such as eu-central-1"
	Region string `json:"region,omitempty"`

	// accountID is the runner's AWS account, 12 digits. The controller stops (AccountMismatch) if its credentials
	// belong to another account. Absent: the account that the controller reached first.
	// +optional
	// +kubebuilder:validation:MinLength=12
	// +kubebuilder:validation:MaxLength=12
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{12}$')",message="must be the 12 digits of an AWS account"
	AccountID string `json:"accountID,omitempty"`

	// stackName is the name of the runner's CloudFormation stack. Every repository inherits its tags. The stack's
	// output ImageCacheVersion tells whether its template supports the cache (StackOutdated if not). Absent: nothing
	// is inherited.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z][a-zA-Z0-9-]*$')",message="must be the name of a CloudFormation stack: letters, digits and hyphens, beginning with a letter"
	StackName string `json:"stackName,omitempty"`

	// tier is the plan that the runner's organisation is on. Setting it needs the verb set-tier on runnerimagecaches.
	// +optional
	// +default="Free"
	Tier Tier `json:"tier,omitempty"`

	// cache is Enabled (the default) or Disabled, which needs the tier Core or Enterprise. While it is Disabled,
	// environments publish and pull nothing, and cached images stay until they expire.
	// +optional
	// +default="Enabled"
	Cache CacheMode `json:"cache,omitempty"`

	// scanning is None (the default) or AmazonInspector. With AmazonInspector, the repository policies let the
	// service-linked role of Amazon Inspector in the runner's account read all images of the runner. Switch enhanced
	// scanning on in the registry's settings yourself. It does not matter whether the role exists yet.
	// +optional
	// +default="None"
	Scanning Scanning `json:"scanning,omitempty"`

	// assumeRoleARN is the ARN of the role that the controller assumes to reach the runner's account, if that is not
	// the controller's own account. The manager's settings list the roles that each namespace may name.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')",message="must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables"
	AssumeRoleARN string `json:"assumeRoleARN,omitempty"`

	// externalID is sent to AWS with assumeRoleARN, if the role's trust policy requires it.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1224
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_+=,.@:/-]+$')",message="must be letters, digits and the characters _ + = , . @ : / -, as AWS takes them in an external ID"
	ExternalID string `json:"externalID,omitempty"`

	// roles tells which IAM roles the runner's pull and push credentials come from. By default the controller creates
	// them.
	// +optional
	// +default={"type": "Managed"}
	Roles RunnerRoles `json:"roles,omitempty,omitzero"`
}

// Tag is one AWS tag.
type Tag struct {
	// key is the tag's name: 1 to 128 letters, digits, spaces and the characters _ . : / = + - @. It must not begin
	// with aws:, which AWS reserves, or imagecache.dev/, which the controller reserves.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@-]*$')`,message="must be letters, digits, spaces and the characters _ . : / = + - @, as AWS takes them in tags"
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().startsWith('aws:')",message="tag keys that begin with aws: are reserved by AWS; choose another key"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('imagecache.dev/') && self != 'imagecache-project'",message="tag keys that begin with imagecache.dev/, and imagecache-project, are set by the controller; choose another key"
	Key string `json:"key,omitempty"`

	// value is the tag's value: up to 256 of the characters that key allows. Absent or empty, the tag has no value.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[\p{L}\p{Z}\p{N}_.:/=+@-]*$')`,message="must be letters, digits, spaces and the characters _ . : / = + - @, as AWS takes them in tags"
	Value *string `json:"value,omitempty"`
}

// StackTag is one tag that the controller read from a CloudFormation stack.
type StackTag struct {
	// key is the tag's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Key string `json:"key,omitempty"`

	// value is the tag's value.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=256
	Value *string `json:"value,omitempty"`
}

// SigningKeyUse tells what a key is used for.
// +kubebuilder:validation:Enum=Sign;Verify
type SigningKeyUse string

// Uses of a key.
const (
	// The controller signs new images with the key, and accepts its signatures.
	KeySigns SigningKeyUse = "Sign"
	// The controller accepts the key's signatures on images that were published before.
	KeyVerifies SigningKeyUse = "Verify"
)

// SigningKey is a public key whose signatures the cache accepts.
type SigningKey struct {
	// id is the SHA-256 of the public key in DER form, 64 hex characters. Signatures name it.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id,omitempty"`

	// use is Sign for the key that signs new images, and Verify for the others.
	// +required
	Use SigningKeyUse `json:"use,omitempty"`

	// publicKey is the key in PEM form: ECDSA on the curve P-256.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	PublicKey string `json:"publicKey,omitempty"`
}

// RunnerImageCacheStatus is the observed state of a runner's cache.
// +kubebuilder:validation:MinProperties=1
type RunnerImageCacheStatus struct {
	// conditions are Ready, SigningKeysReady, AccountReady, TagsReady and RolesReady, and Reconciling and Stalled while
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

	// accountID is the AWS account that the controller reaches for this runner.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=12
	AccountID string `json:"accountID,omitempty"`

	// controllerARN is the ARN of the IAM role (or user) that the controller acts as in the account. The runner's
	// roles trust only this principal.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	ControllerARN string `json:"controllerARN,omitempty"`

	// pullRoleARN is the ARN of the role that pull credentials come from.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	PullRoleARN string `json:"pullRoleARN,omitempty"`

	// pushRoleARN is the ARN of the role that upload rights come from.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	PushRoleARN string `json:"pushRoleARN,omitempty"`

	// stackVersion is the value of the stack's output ImageCacheVersion.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	StackVersion string `json:"stackVersion,omitempty"`

	// stackTags are the stack's tags without those of AWS itself. Every repository of the runner inherits them.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MaxItems=200
	StackTags []StackTag `json:"stackTags,omitempty"`

	// stackTagsReadAt is when the controller first read the stack's tags, or last found them changed.
	// +optional
	StackTagsReadAt *metav1.Time `json:"stackTagsReadAt,omitempty"`

	// signingKeys are the public keys whose signatures the cache accepts, the one that signs first. An image that none
	// of them signed is no hit, and `imagecache prepare` does not pull it. All runners of a manager have the same keys.
	// Empty: the controller has not read its keys yet, or it is of a version that signs nothing.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=17
	SigningKeys []SigningKey `json:"signingKeys,omitempty"`

	// projects is the number of ProjectImageCaches that name this runner.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Projects *int32 `json:"projects,omitempty"`
}

// RunnerImageCache is what one runner's projects share: its AWS account and region, the tags of its CloudFormation
// stack, the two IAM roles that credentials come from, and the switch for the cache.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ric,categories=imagecache
// +kubebuilder:printcolumn:name="Runner",type=string,JSONPath=".spec.runnerID"
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=".spec.region"
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=".status.accountID"
// +kubebuilder:printcolumn:name="Cache",type=string,JSONPath=".spec.cache"
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=".spec.tier",priority=1
// +kubebuilder:printcolumn:name="Stack",type=string,JSONPath=".spec.stackName",priority=1
// +kubebuilder:printcolumn:name="Projects",type=integer,JSONPath=".status.projects"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].reason"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:selectablefield:JSONPath=".spec.runnerID"
type RunnerImageCache struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state. You write it.
	// +required
	Spec RunnerImageCacheSpec `json:"spec,omitzero"`

	// status is the observed state. Only the controller writes it.
	// +optional
	// +default={"observedGeneration": -1}
	Status RunnerImageCacheStatus `json:"status,omitzero"`
}

// RunnerImageCacheList is a list of RunnerImageCaches.
// +kubebuilder:object:root=true
type RunnerImageCacheList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the objects.
	Items []RunnerImageCache `json:"items"`
}
