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
	// LocalEnvNotCovered: a variable of this machine reaches the build; turn on LocalEnv.
	LocalEnvNotCovered WarningCode = "LocalEnvNotCovered"
	// RemoteSourceNotCovered: ADD fetches a URL or a Git repository without a checksum; add one, or copy a file.
	RemoteSourceNotCovered WarningCode = "RemoteSourceNotCovered"
	// ContextNotRead: the build takes something from a place that can't be read from here.
	ContextNotRead WarningCode = "ContextNotRead"
	// ComposeNotSupported: Docker Compose configurations are hashed, and never cached.
	ComposeNotSupported WarningCode = "ComposeNotSupported"
)
