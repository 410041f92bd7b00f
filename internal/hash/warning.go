package hash

// Warning is something that reaches the image and that the key doesn't cover.
type Warning struct {
	// Code tells warnings apart; stable.
	Code WarningCode `json:"code"`
	// Setting that would cover it, one of Settings; "" where none can.
	Setting string `json:"setting,omitempty"`
	// Path and Line where it is written, relative to the workspace; "" and 0 where there is no place.
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
	// Message is one sentence in lower case that says what is not covered and what to do.
	Message string `json:"message"`
}

// WarningCode tells warnings apart.
type WarningCode string

// The codes, and what the reader does about each.
const (
	// BuildContextNotCovered: the Dockerfile takes files from its context; turn on BuildContext.
	BuildContextNotCovered WarningCode = "BuildContextNotCovered"
	// BaseImageNotPinned: a base image's name may mean another image tomorrow; turn on BaseImages, or name a digest.
	BaseImageNotPinned WarningCode = "BaseImageNotPinned"
	// FeatureNotCovered: a Feature's files or its version are not in the key; turn on Features, commit a lockfile.
	FeatureNotCovered WarningCode = "FeatureNotCovered"
	// FeatureDependenciesUnknown: a Feature is named by its digest, and no lockfile tells what it depends on; commit one.
	FeatureDependenciesUnknown WarningCode = "FeatureDependenciesUnknown"
	// LocalEnvNotCovered: a variable of this machine reaches the build; turn on LocalEnv.
	LocalEnvNotCovered WarningCode = "LocalEnvNotCovered"
	// RemoteSourceNotCovered: ADD fetches a URL or a Git repository without a checksum; add one, or copy a file.
	RemoteSourceNotCovered WarningCode = "RemoteSourceNotCovered"
	// DockerfileNotUnderstood: BuildKit's parser does not take the Dockerfile, so what it uses is not known; mend it.
	DockerfileNotUnderstood WarningCode = "DockerfileNotUnderstood"
	// OptionNotCovered: an argument in build.options brings something in that no key covers.
	OptionNotCovered WarningCode = "OptionNotCovered"
	// IgnoreFileNotUsed: an ignore file named after the Dockerfile has no effect in a dev container's build; rename it
	// to .dockerignore.
	IgnoreFileNotUsed WarningCode = "IgnoreFileNotUsed"
	// ComposeIncludeNotCovered: a Compose project includes a file from elsewhere; copy the file into the workspace.
	ComposeIncludeNotCovered WarningCode = "ComposeIncludeNotCovered"
	// BuildSecretNotCovered: a service's build reads secrets or an SSH agent; take build.secrets and build.ssh out.
	BuildSecretNotCovered WarningCode = "BuildSecretNotCovered"
	// ServiceContextNotCovered: a service's build reads the image of another service; name an image or a folder.
	ServiceContextNotCovered WarningCode = "ServiceContextNotCovered"
	// LocalEnvInKey: a Compose project can't be read without the machine's variables, so that machines share no images;
	// give the variables defaults.
	LocalEnvInKey WarningCode = "LocalEnvInKey"
	// ComposeNotSupported: the key of a whole Docker Compose configuration, which no image is cached under: each service
	// that is built has a key of its own.
	ComposeNotSupported WarningCode = "ComposeNotSupported"
)

// incomplete reports whether the key lacks something that the configuration
// takes from files, names and variables.
func (c WarningCode) incomplete() bool {
	return c != IgnoreFileNotUsed && c != FeatureDependenciesUnknown && c != LocalEnvInKey
}
