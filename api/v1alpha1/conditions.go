package v1alpha1

// Condition types. Ready summarizes the object. Reconciling and Stalled (of kstatus) exist only while they are True.
// Each of the others reports the state of one part.
const (
	// ConditionReady is True when the object does its work: projects of the runner can use the cache, the project's
	// repository is usable, or the environment has its answer and, unless it builds for itself, its image.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the controller is working and expects to finish without help. Wait.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a person can help. Read the reason and change what it names.
	ConditionStalled = "Stalled"

	// ConditionSigningKeysReady (RunnerImageCache) reports whether the controller has read the keys that sign and
	// verify images.
	ConditionSigningKeysReady = "SigningKeysReady"
	// ConditionAccountReady (RunnerImageCache) reports whether the controller reaches the runner's AWS account.
	ConditionAccountReady = "AccountReady"
	// ConditionTagsReady (RunnerImageCache, ProjectImageCache) reports whether the requested tags are read and set.
	ConditionTagsReady = "TagsReady"
	// ConditionRolesReady (RunnerImageCache) reports whether the pull role and the push role exist and can be
	// assumed.
	ConditionRolesReady = "RolesReady"

	// ConditionRepositoryReady (ProjectImageCache) reports whether the ECR repository exists, belongs to this object
	// and has immutable tags.
	ConditionRepositoryReady = "RepositoryReady"
	// ConditionLifecyclePolicyReady (ProjectImageCache) reports whether images expire as retentionDays asks.
	ConditionLifecyclePolicyReady = "LifecyclePolicyReady"
	// ConditionRepositoryPolicyReady (ProjectImageCache) reports whether the repository is closed to everybody else.
	ConditionRepositoryPolicyReady = "RepositoryPolicyReady"
	// ConditionPullCredentialsReady (ProjectImageCache) reports whether environments can pull. It is absent until the
	// first environment asks.
	ConditionPullCredentialsReady = "PullCredentialsReady"
	// ConditionImagesDue (ProjectImageCache) is True while images that environments use are due: they expire within 7
	// days, or the last quarter of a shorter retentionDays. It is for information: Ready does not depend on it. It is
	// absent until the images are counted.
	ConditionImagesDue = "ImagesDue"

	// ConditionLookedUp (DevcontainerImage) is True when the cache gave its answer in status.cacheResult. False means
	// that the lookup itself failed, which is neither a hit nor a miss; the controller retries it.
	ConditionLookedUp = "LookedUp"
	// ConditionPublished (DevcontainerImage) is True when this environment's image is in the cache under its hash.
	ConditionPublished = "Published"
	// ConditionPushCredentialsRemoved (DevcontainerImage) is False while upload rights exist for this build, and True
	// after their removal. It is absent if none were ever created.
	ConditionPushCredentialsRemoved = "PushCredentialsRemoved"
	// ConditionPulled (DevcontainerImage) is True when the runner reported that it pulled status.image, and False
	// when the pull failed and the runner built the image itself. It is absent until the runner reports.
	ConditionPulled = "Pulled"
)

// Reasons that more than one kind uses.
const (
	// ReasonSucceeded: the controller did what the spec asks. Nothing to do.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing: the controller is still working and nothing failed. Wait.
	ReasonProgressing = "Progressing"
	// ReasonWaitingForRunner: the RunnerImageCache that this object names does not exist or is not ready. Apply it,
	// or look at its conditions.
	ReasonWaitingForRunner = "WaitingForRunner"
	// ReasonWaitingForProject: the ProjectImageCache that this object names does not exist or is not ready. Apply it,
	// or look at its conditions.
	ReasonWaitingForProject = "WaitingForProject"
	// ReasonNothingToWaitFor: the request ended, because its project or its runner did not exist for six hours. Apply the
	// object that the message names, and create another request.
	ReasonNothingToWaitFor = "NothingToWaitFor"
	// ReasonAccessDenied: AWS refused a call. Give the controller's role the action that the message names
	// (config/aws holds a policy with all of them). The controller retries within a minute.
	ReasonAccessDenied = "AccessDenied"
	// ReasonThrottled: AWS throttled a call. Nothing to do; the controller retries.
	ReasonThrottled = "Throttled"
	// ReasonAWSError: AWS returned another error; the message holds its code. The controller retries. If the error
	// stays, the code tells what is wrong.
	ReasonAWSError = "AWSError"
	// ReasonDeleting: the object is being deleted and the controller is removing what it created in AWS. Wait. If the
	// account no longer exists, set the annotation imagecache.dev/abandon to release the object.
	ReasonDeleting = "Deleting"
	// ReasonDisabled: the runner's cache is switched off. Set spec.cache of the RunnerImageCache to Enabled.
	ReasonDisabled = "Disabled"
	// ReasonUnsupportedProvider: the runner is not an AWS EC2 runner, so it can't use the cache. Use an AWS EC2
	// runner, or remove the object.
	ReasonUnsupportedProvider = "UnsupportedProvider"
)

// Reasons of a RunnerImageCache.
const (
	// ReasonSigningKeysNotReady: the controller can't read or create the keys that sign images; the message names what
	// is wrong. Correct the Secret imagecache-signing-keys in the manager's namespace, or the key of --signing-key, as
	// docs/provenance.md describes. Without any key, lookups wait; keys that were read before stay in use.
	ReasonSigningKeysNotReady = "SigningKeysNotReady"
	// ReasonAccountMismatch: the credentials belong to another AWS account than spec.accountID, or than the account
	// that holds the runner's roles and repositories. Correct the credentials, or spec.accountID.
	ReasonAccountMismatch = "AccountMismatch"
	// ReasonStackNotFound: CloudFormation has no stack named spec.stackName in the region. Correct the name.
	ReasonStackNotFound = "StackNotFound"
	// ReasonStackOutdated: the stack's template is older than the cache: its output ImageCacheVersion is absent or
	// too low. Update the stack as docs/upgrading.md describes.
	ReasonStackOutdated = "StackOutdated"
	// ReasonRunnerIDInUse: an older RunnerImageCache has the same runnerID. Remove one of the two.
	ReasonRunnerIDInUse = "RunnerIDInUse"
	// ReasonRoleNotOwned: a role of this name exists already and does not belong to this object. Remove the role, or
	// use roles.type Provided.
	ReasonRoleNotOwned = "RoleNotOwned"
	// ReasonRoleNotAssumable: a role exists, but the controller can't assume it. Correct the role's trust policy. A
	// new role needs some seconds before it can be assumed.
	ReasonRoleNotAssumable = "RoleNotAssumable"
	// ReasonAssumeRoleNotAllowed: the manager's settings do not allow this namespace to use spec.assumeRoleARN. Ask
	// the administrator of the manager to allow it.
	ReasonAssumeRoleNotAllowed = "AssumeRoleNotAllowed"
	// ReasonProjectsRemain: the object is being deleted, but projects still name it. Delete those projects first.
	ReasonProjectsRemain = "ProjectsRemain"
)

// Reasons of a ProjectImageCache.
const (
	// ReasonRepositoryNotOwned: the repository exists and does not belong to this object: it belongs to another one,
	// or it was not created for this object, whatever its tags name. Find out who created it; then let this object
	// adopt it by adoptionPolicy, or remove one of the two.
	ReasonRepositoryNotOwned = "RepositoryNotOwned"
	// ReasonEncryptionMismatch: the existing repository is encrypted differently than spec.encryption asks, and ECR
	// can't change that. Correct spec.encryption in a new object, or remove the repository.
	ReasonEncryptionMismatch = "EncryptionMismatch"
	// ReasonTooManyTags: the spec and the stack ask for more than the 50 tags that ECR allows; the message lists the
	// tags that were left out. Remove some from spec.tags or the stack. The cache works meanwhile.
	ReasonTooManyTags = "TooManyTags"
	// ReasonInvalidTags: the stack has tags that ECR does not accept; the message lists them. Rename them in the
	// stack. The cache works meanwhile.
	ReasonInvalidTags = "InvalidTags"
	// ReasonRefreshFailed: the controller could not create new pull credentials. The old ones work until the time in
	// the message, and the controller retries. Fix what the message names before then.
	ReasonRefreshFailed = "RefreshFailed"
	// ReasonSecretNotOwned: the Secret that should hold the credentials exists already, and another client wrote it.
	// Remove it; the controller retries within a minute.
	ReasonSecretNotOwned = "SecretNotOwned"
	// ReasonCredentialsExpired: the pull credentials have expired and the controller could not replace them, so
	// environments build for themselves. Fix what the message names; the controller retries.
	ReasonCredentialsExpired = "CredentialsExpired"
)

// Reasons of the condition ImagesDue of a ProjectImageCache.
const (
	// ReasonUsedImagesExpire: images that environments pulled within the last 14 days expire soon, and the
	// next environment would wait for a new build. Run imagecache prebuild --due, by a schedule (docs/operating.md).
	ReasonUsedImagesExpire = "UsedImagesExpire"
	// ReasonNoneDue: no image that environments use expires soon. Nothing to do.
	ReasonNoneDue = "NoneDue"
	// ReasonNotCounted: the images were not counted since the first due image expired, or because the project is not
	// ready. The condition Ready, or the manager's log, tells why; the controller counts again by itself.
	ReasonNotCounted = "NotCounted"
)

// Reasons of a DevcontainerImage: why it is a hit, a miss or bypassed (also in status.reason).
const (
	// ReasonImageFound: the cache found a usable image. Nothing to do.
	ReasonImageFound = "ImageFound"
	// ReasonImageNotFound: this configuration was never built before, or its image has expired or was deleted.
	// Nothing to do: this build is cached, and status.explanation lists the differences from the nearest cached
	// image.
	ReasonImageNotFound = "ImageNotFound"
	// ReasonExpired: the image expires within an hour, or has expired. Nothing to do: a new image replaces it. A
	// longer spec.retentionDays keeps images for longer.
	ReasonExpired = "Expired"
	// ReasonInvalidated: the image, or a layer that it took over, is older than the project's invalidatePushedBefore.
	// Nothing to do: a new image replaces it.
	ReasonInvalidated = "Invalidated"
	// ReasonPlatformMismatch: the image stored under this hash is for another platform. Nothing to do: a new image
	// replaces it. If it happens again, find the runner that builds for another platform than it requests.
	ReasonPlatformMismatch = "PlatformMismatch"
	// ReasonNotVerified: the image stored under this hash was not published by this controller: no key that is known
	// signed it for this hash, repository and platform. Or it is damaged. Images of versions without signatures, and of
	// a revoked key, count the same. A new image replaces it. If the explanation names none of these, find out which
	// other principals may write to the repository.
	ReasonNotVerified = "NotVerified"
	// ReasonArchived: ECR has archived the image, so it can't be pulled. A new image replaces it. The manager puts its
	// own lifecycle policy in place of one that archives; find out who set that.
	ReasonArchived = "Archived"
	// ReasonRefresh: the request asked for a new image by cachePolicy Refresh. Nothing to do.
	ReasonRefresh = "Refresh"

	// ReasonNonProjectEnvironment: an environment without a project never uses the cache. Create it from a project.
	ReasonNonProjectEnvironment = "NonProjectEnvironment"
	// ReasonComposeNotSupported: the project does not cache Docker Compose configurations. Set spec.compose of the
	// ProjectImageCache to Cached. If it is, the request names no service: install a newer imagecache on the runner.
	ReasonComposeNotSupported = "ComposeNotSupported"
	// ReasonUnsupportedRunner: only AWS EC2 runners use the cache. Use an AWS EC2 runner.
	ReasonUnsupportedRunner = "UnsupportedRunner"
	// ReasonCacheDisabled: the runner's cache is switched off. Set spec.cache of the RunnerImageCache to Enabled.
	ReasonCacheDisabled = "CacheDisabled"
)

// Reasons of a DevcontainerImage's conditions.
const (
	// ReasonHit: the answer is a hit. Pull status.image with status.pullCredentials.
	ReasonHit = "Hit"
	// ReasonBypassed: the cache does not apply. Build without it; status.reason tells why.
	ReasonBypassed = "Bypassed"
	// ReasonBuilding: this environment is the builder of its hash. Build, renew the Lease status.builder.leaseName,
	// and report in spec.build.
	ReasonBuilding = "Building"
	// ReasonWaitingForBuilder: another environment, status.builder, builds the same hash. Wait for its image, or
	// build without publishing.
	ReasonWaitingForBuilder = "WaitingForBuilder"
	// ReasonUploading: the report was accepted. Upload status.missingLayers with status.pushCredentials, then raise
	// spec.uploadAttempt.
	ReasonUploading = "Uploading"
	// ReasonPublished: the image is in the cache under its hash. Nothing to do.
	ReasonPublished = "Published"
	// ReasonAdopted: another environment published an image for this hash first. Use status.image.
	ReasonAdopted = "Adopted"
	// ReasonLocalBuild: this environment builds for itself and never publishes, because it is a rebuild or a second
	// creation of the same environment, or did not wait for the builder. Build and use the image.
	ReasonLocalBuild = "LocalBuild"
	// ReasonLookupFailed: the lookup failed. The controller retries it; a runner that has waited long enough builds
	// without publishing. If the failure stays, the message tells what is wrong.
	ReasonLookupFailed = "LookupFailed"
	// ReasonBuildFailed: the builder reported that its build failed; the message is the builder's. Correct the
	// configuration.
	ReasonBuildFailed = "BuildFailed"
	// ReasonBuilderLost: the runner did not renew its build lease in time, so another environment may build. Check
	// whether the builder's machine is running.
	ReasonBuilderLost = "BuilderLost"
	// ReasonUploadTimedOut: the upload rights ended: the runner completed no further layer, or did not end within 6
	// hours, or the controller could not grant further rights. Use the image where it was built, and find out why the
	// upload is slow. The next environment builds again.
	ReasonUploadTimedOut = "UploadTimedOut"
	// ReasonNotBuilder: the report came from an environment that is not the builder, or no longer is. Use the image
	// where it was built.
	ReasonNotBuilder = "NotBuilder"
	// ReasonKeyInputsNeedWorkspace: the project's keyInputs need files that inline contents don't have. Send
	// configHash.
	ReasonKeyInputsNeedWorkspace = "KeyInputsNeedWorkspace"
	// ReasonKeyIncomplete: the project requires complete keys and this key is incomplete, so the image is used where
	// it was built. Run imagecache hash --explain and add what is missing to the project's keyInputs.
	ReasonKeyIncomplete = "KeyIncomplete"
	// ReasonSecretsInBuild: a value of the runner's environment reaches the build and is not in the key, so the image
	// is used where it was built. Add LocalEnv to the project's keyInputs.
	ReasonSecretsInBuild = "SecretsInBuild"
	// ReasonPullFailed: the runner could not pull the cached image and built it itself; the message is the runner's.
	// Check that the runner reaches the registry and that the project's pull credentials are valid.
	ReasonPullFailed = "PullFailed"
	// ReasonRemoved: the controller removed the upload rights. Nothing to do.
	ReasonRemoved = "Removed"
	// ReasonGranted: upload rights exist until the time in the message. Nothing to do.
	ReasonGranted = "Granted"
)

// Reasons why a reported image was not published. The image is used where it was built. A runner other than
// `imagecache prepare` corrects its report.
const (
	// ReasonManifestInvalid: the reported manifest is not a valid manifest of one image. Report the manifest's own
	// bytes.
	ReasonManifestInvalid = "ManifestInvalid"
	// ReasonIndexNotSupported: the reported manifest is an index of several images. Report the manifest of the image
	// that was built; with BuildKit, build with --provenance=false.
	ReasonIndexNotSupported = "IndexNotSupported"
	// ReasonConfigDigestMismatch: the reported configuration blob is not the one that the manifest names. Report the
	// blob byte for byte.
	ReasonConfigDigestMismatch = "ConfigDigestMismatch"
	// ReasonMediaTypeNotSupported: the manifest or a layer has a media type that ordinary images do not use; the
	// message names it. Build a Docker or OCI image.
	ReasonMediaTypeNotSupported = "MediaTypeNotSupported"
	// ReasonForeignLayer: a layer is stored elsewhere (it has URLs), so its content could change. Use a base image
	// without foreign layers.
	ReasonForeignLayer = "ForeignLayer"
	// ReasonWrongPlatform: the image is for another platform than the request. Build for spec.platform.
	ReasonWrongPlatform = "WrongPlatform"
	// ReasonLabelMismatch: a label of the image names another hash, version or object. Label the image for this
	// request, after the build.
	ReasonLabelMismatch = "LabelMismatch"
	// ReasonTooLarge: the image exceeds a limit; the message names it. Make the image smaller.
	ReasonTooLarge = "TooLarge"
	// ReasonManifestRejected: ECR rejected the manifest; the message holds ECR's error code. Correct what the code
	// names.
	ReasonManifestRejected = "ManifestRejected"
)
