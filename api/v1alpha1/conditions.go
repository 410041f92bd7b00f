package v1alpha1

// Condition types. Ready sums an object up; Reconciling and Stalled (of kstatus) are there only while they are True;
// the others say how far one part is.
const (
	// ConditionReady is True when the object does what it is for: projects of the runner can cache, the project's
	// repository is usable, the environment has its answer and, unless it builds for itself, its image.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the controller is at work and expects to get further by itself. Wait.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a person can help: read the reason and change what it names.
	ConditionStalled = "Stalled"

	// ConditionAccountReady (RunnerImageCache) says whether the controller reaches the runner's AWS account.
	ConditionAccountReady = "AccountReady"
	// ConditionTagsReady (RunnerImageCache, ProjectImageCache) says whether the tags that were asked for are read and set.
	ConditionTagsReady = "TagsReady"
	// ConditionRolesReady (RunnerImageCache) says whether the pull and the push role are there and can be assumed.
	ConditionRolesReady = "RolesReady"

	// ConditionRepositoryReady (ProjectImageCache) says whether the ECR repository is there, ours and immutable.
	ConditionRepositoryReady = "RepositoryReady"
	// ConditionLifecyclePolicyReady (ProjectImageCache) says whether images expire as retentionDays asks.
	ConditionLifecyclePolicyReady = "LifecyclePolicyReady"
	// ConditionRepositoryPolicyReady (ProjectImageCache) says whether the repository is closed to everybody else.
	ConditionRepositoryPolicyReady = "RepositoryPolicyReady"
	// ConditionPullCredentialsReady (ProjectImageCache) says whether environments can pull. It is absent until the
	// first environment asks.
	ConditionPullCredentialsReady = "PullCredentialsReady"

	// ConditionLookedUp (DevcontainerImage) is True when the cache gave its answer: status.cacheResult. False means
	// that the lookup itself failed, which is neither hit nor miss; it is tried again.
	ConditionLookedUp = "LookedUp"
	// ConditionPublished (DevcontainerImage) is True when this environment's build stands in the cache under its hash.
	ConditionPublished = "Published"
	// ConditionPushCredentialsRemoved (DevcontainerImage) is False while upload rights exist for this build, and True
	// from their removal on. It is absent where none were ever made.
	ConditionPushCredentialsRemoved = "PushCredentialsRemoved"
	// ConditionPulled (DevcontainerImage) is True when the runner reported that it pulled status.image, and False when it
	// could not and built for itself. It is absent until the runner reports.
	ConditionPulled = "Pulled"
)

// Reasons that more than one kind uses.
const (
	// ReasonSucceeded: done as asked. Nothing to do.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing: not there yet, nothing went wrong. Wait.
	ReasonProgressing = "Progressing"
	// ReasonWaitingForRunner: the RunnerImageCache that this object names is absent or not ready. Apply it, or look at
	// its conditions.
	ReasonWaitingForRunner = "WaitingForRunner"
	// ReasonWaitingForProject: the ProjectImageCache that this object names is absent or not ready. Apply it, or look
	// at its conditions.
	ReasonWaitingForProject = "WaitingForProject"
	// ReasonAccessDenied: AWS refused a call. Give the controller's role the action that the message names
	// (config/aws holds a policy with all of them); it heals by itself within a minute.
	ReasonAccessDenied = "AccessDenied"
	// ReasonThrottled: AWS asked to slow down. Nothing to do; it is tried again.
	ReasonThrottled = "Throttled"
	// ReasonAWSError: AWS answered with another error, which the message holds with its code. It is tried again; if it
	// stays, the code says what is wrong.
	ReasonAWSError = "AWSError"
	// ReasonDeleting: the object is being deleted and what it made in AWS is being removed. Wait; if the account is gone
	// for good, the annotation imagecache.dev/abandon lets the object go.
	ReasonDeleting = "Deleting"
	// ReasonDisabled: the runner's cache is switched off. Set spec.cache of the RunnerImageCache to Enabled.
	ReasonDisabled = "Disabled"
	// ReasonUnsupportedProvider: the runner is not an AWS EC2 runner, so it can't cache. Use one, or remove the object.
	ReasonUnsupportedProvider = "UnsupportedProvider"
)

// Reasons of a RunnerImageCache.
const (
	// ReasonAccountMismatch: the credentials belong to another AWS account than spec.accountID, or than the runner's roles
	// and repositories are in. Correct the credentials, or spec.accountID.
	ReasonAccountMismatch = "AccountMismatch"
	// ReasonStackNotFound: CloudFormation has no stack spec.stackName in the region. Correct the name.
	ReasonStackNotFound = "StackNotFound"
	// ReasonStackOutdated: the stack's template is older than the cache: its output ImageCacheVersion is absent or too
	// low. Update the stack as docs/upgrading.md says.
	ReasonStackOutdated = "StackOutdated"
	// ReasonRunnerIDInUse: another RunnerImageCache has this runnerID and was there first. Remove one of the two.
	ReasonRunnerIDInUse = "RunnerIDInUse"
	// ReasonRoleNotOwned: a role of the name exists already and was not made for this object. Remove it, or use
	// roles.type Provided.
	ReasonRoleNotOwned = "RoleNotOwned"
	// ReasonRoleNotAssumable: a role is there and the controller may not assume it. Correct its trust policy; a role
	// that was just made needs some seconds.
	ReasonRoleNotAssumable = "RoleNotAssumable"
	// ReasonAssumeRoleNotAllowed: the manager's settings do not allow this namespace to use spec.assumeRoleARN. Ask
	// whoever runs the manager to allow it.
	ReasonAssumeRoleNotAllowed = "AssumeRoleNotAllowed"
	// ReasonProjectsRemain: the object is being deleted and projects still name it. Delete those first.
	ReasonProjectsRemain = "ProjectsRemain"
)

// Reasons of a ProjectImageCache.
const (
	// ReasonRepositoryNotOwned: the repository exists and is not this object's. Let this object adopt it by
	// adoptionPolicy, or remove one of the two.
	ReasonRepositoryNotOwned = "RepositoryNotOwned"
	// ReasonEncryptionMismatch: the adopted repository is encrypted otherwise than spec.encryption asks, and ECR can't
	// change that. Correct spec.encryption in a new object, or remove the repository.
	ReasonEncryptionMismatch = "EncryptionMismatch"
	// ReasonTooManyTags: more tags than ECR's 50 were asked for; the message lists those that were left out. Remove some
	// from spec.tags or the stack; the cache works meanwhile.
	ReasonTooManyTags = "TooManyTags"
	// ReasonInvalidTags: the stack has tags that ECR does not take; the message lists them. Rename them in the stack; the
	// cache works meanwhile.
	ReasonInvalidTags = "InvalidTags"
	// ReasonRefreshFailed: new pull credentials could not be made. The old ones still work until the time in the
	// message, and it is tried again; cure what the message names before then.
	ReasonRefreshFailed = "RefreshFailed"
	// ReasonSecretNotOwned: a Secret of the name that credentials go to is there and was written by somebody else. Remove
	// it; it is tried again within a minute.
	ReasonSecretNotOwned = "SecretNotOwned"
	// ReasonCredentialsExpired: the pull credentials have run out and could not be replaced: environments build for
	// themselves. Cure what the message names; it is tried again.
	ReasonCredentialsExpired = "CredentialsExpired"
)

// Reasons of a DevcontainerImage: why it is a hit, a miss or bypassed (also in status.reason).
const (
	// ReasonImageFound: the image was found and is usable. Nothing to do.
	ReasonImageFound = "ImageFound"
	// ReasonImageNotFound: nobody built this configuration before, or its image has expired or was deleted. Nothing to
	// do: this build is cached, and status.explanation says what differs from the nearest cached image.
	ReasonImageNotFound = "ImageNotFound"
	// ReasonExpired: the image has less than an hour left of its retention, or none. Nothing to do: a new one replaces
	// it. A longer spec.retentionDays keeps images for longer.
	ReasonExpired = "Expired"
	// ReasonInvalidated: the image is older than the project's invalidatePushedBefore. Nothing to do: a new one replaces
	// it.
	ReasonInvalidated = "Invalidated"
	// ReasonPlatformMismatch: what is stored under this hash is for another platform. A new image replaces it; if it
	// happens again, see which runner builds for another platform than it asks for.
	ReasonPlatformMismatch = "PlatformMismatch"
	// ReasonNotVerified: what is stored under this hash was not published by this controller, or is damaged. A new
	// image replaces it; find out who else may write to the repository.
	ReasonNotVerified = "NotVerified"
	// ReasonArchived: ECR has archived the image, so that it can't be pulled. A new one replaces it; take the rule that
	// archives out of the registry's settings.
	ReasonArchived = "Archived"
	// ReasonRefresh: the request asked for a new image by cachePolicy Refresh. Nothing to do.
	ReasonRefresh = "Refresh"

	// ReasonNonProjectEnvironment: an environment without a project never uses the cache. Create it from a project.
	ReasonNonProjectEnvironment = "NonProjectEnvironment"
	// ReasonComposeNotSupported: Docker Compose configurations are not cached. Nothing to do, or use an image or a
	// Dockerfile.
	ReasonComposeNotSupported = "ComposeNotSupported"
	// ReasonUnsupportedRunner: only AWS EC2 runners cache. Use one.
	ReasonUnsupportedRunner = "UnsupportedRunner"
	// ReasonCacheDisabled: the runner's cache is switched off. Set spec.cache of the RunnerImageCache to Enabled.
	ReasonCacheDisabled = "CacheDisabled"
)

// Reasons of a DevcontainerImage's conditions.
const (
	// ReasonHit: the answer is a hit. Pull status.image with status.pullCredentials.
	ReasonHit = "Hit"
	// ReasonBypassed: the cache does not apply. Build without it; status.reason says why.
	ReasonBypassed = "Bypassed"
	// ReasonBuilding: this environment is the builder of its hash. Build, renew the Lease status.builder.leaseName, and
	// report in spec.build.
	ReasonBuilding = "Building"
	// ReasonWaitingForBuilder: another environment builds the same hash: status.builder. Wait for it or build without
	// publishing.
	ReasonWaitingForBuilder = "WaitingForBuilder"
	// ReasonUploading: the report was accepted. Upload status.missingLayers with status.pushCredentials, then raise
	// spec.uploadAttempt.
	ReasonUploading = "Uploading"
	// ReasonPublished: the image stands in the cache under its hash. Nothing to do.
	ReasonPublished = "Published"
	// ReasonAdopted: another environment's image was there first. Use status.image.
	ReasonAdopted = "Adopted"
	// ReasonLocalBuild: this environment builds for itself and never publishes: a rebuild, or a second creation of one
	// environment. Build and use the image.
	ReasonLocalBuild = "LocalBuild"
	// ReasonLookupFailed: the cache could not be asked. It is tried again; a runner that has waited long enough builds
	// without publishing. If it stays, the message says what is wrong.
	ReasonLookupFailed = "LookupFailed"
	// ReasonBuildFailed: the builder reported that its build failed; the message is its own. Correct the configuration.
	ReasonBuildFailed = "BuildFailed"
	// ReasonBuilderLost: the runner has not renewed its build lease in time, so another environment may build. See
	// whether the builder's machine is alive.
	ReasonBuilderLost = "BuilderLost"
	// ReasonUploadTimedOut: the layers were not uploaded within the deadline. Use the image where it was built; see why
	// the upload is slow. The next environment builds again.
	ReasonUploadTimedOut = "UploadTimedOut"
	// ReasonNotBuilder: a report came from an environment that was not, or no longer, the builder. Use the image where
	// it was built.
	ReasonNotBuilder = "NotBuilder"
	// ReasonKeyInputsNeedWorkspace: the project's keyInputs need files that inline contents don't have. Send configHash.
	ReasonKeyInputsNeedWorkspace = "KeyInputsNeedWorkspace"
	// ReasonKeyIncomplete: the project asks for complete keys and this one isn't; the image is used where it was built.
	// See imagecache hash --explain and add what is missing to the project's keyInputs.
	ReasonKeyIncomplete = "KeyIncomplete"
	// ReasonSecretsInBuild: a value of the runner's environment reaches the build and is not in the key, so the image
	// is used where it was built. Add LocalEnv to the project's keyInputs.
	ReasonSecretsInBuild = "SecretsInBuild"
	// ReasonPullFailed: the runner could not pull the cached image and built for itself; the message is its own. See
	// whether it reaches the registry and whether the project's pull credentials are valid.
	ReasonPullFailed = "PullFailed"
	// ReasonRemoved: the upload rights are gone. Nothing to do.
	ReasonRemoved = "Removed"
	// ReasonGranted: upload rights exist until the time in the message. Nothing to do.
	ReasonGranted = "Granted"
)

// Reasons why a reported image was not published. The image is used where it was built; a runner other than `imagecache
// prepare` corrects what it reports.
const (
	// ReasonManifestInvalid: the reported manifest is no manifest of one image. Report the manifest's own bytes.
	ReasonManifestInvalid = "ManifestInvalid"
	// ReasonIndexNotSupported: the report holds an index of several images. Report the manifest of the one that was
	// built; with BuildKit, build with --provenance=false.
	ReasonIndexNotSupported = "IndexNotSupported"
	// ReasonConfigDigestMismatch: the reported configuration blob is not the one that the manifest names. Report the
	// blob byte for byte.
	ReasonConfigDigestMismatch = "ConfigDigestMismatch"
	// ReasonMediaTypeNotSupported: the manifest or a layer has a media type that is not one of an ordinary image; the
	// message names it. Build a Docker or OCI image.
	ReasonMediaTypeNotSupported = "MediaTypeNotSupported"
	// ReasonForeignLayer: a layer is stored elsewhere (it has URLs), so its content could change. Use a base image
	// without such layers.
	ReasonForeignLayer = "ForeignLayer"
	// ReasonWrongPlatform: the image is for another platform than the request. Build for spec.platform.
	ReasonWrongPlatform = "WrongPlatform"
	// ReasonLabelMismatch: a label of the image names another hash, version or object. Label the image for this request,
	// after the build.
	ReasonLabelMismatch = "LabelMismatch"
	// ReasonTooLarge: the image is beyond a bound; the message names it. Make the image smaller.
	ReasonTooLarge = "TooLarge"
	// ReasonManifestRejected: ECR refused the manifest; the message has its code. Correct what that says.
	ReasonManifestRejected = "ManifestRejected"
)
