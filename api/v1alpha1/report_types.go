package v1alpha1

// BuildOutcome is how a build ended.
// +kubebuilder:validation:Enum=Succeeded;Failed
type BuildOutcome string

// Outcomes of a build.
const (
	// The build made an image.
	BuildSucceeded BuildOutcome = "Succeeded"
	// The build made no image.
	BuildFailed BuildOutcome = "Failed"
)

// PullOutcome is how the pull of a cached image ended.
// +kubebuilder:validation:Enum=Succeeded;Failed
type PullOutcome string

// Outcomes of a pull.
const (
	// The pull succeeded.
	PullSucceeded PullOutcome = "Succeeded"
	// The pull failed, and the environment builds for itself.
	PullFailed PullOutcome = "Failed"
)

// BuildReport is how the runner's build ended. The runner writes it once, after the build and before any upload.
// +kubebuilder:validation:XValidation:rule="self.outcome != 'Succeeded' || (has(self.manifest) && has(self.config))",message="a build that Succeeded is reported with manifest and config; add both, or set outcome to Failed"
// +kubebuilder:validation:XValidation:rule="self.outcome != 'Failed' || (!has(self.manifest) && !has(self.config))",message="a build that Failed has no image; remove manifest and config, or set outcome to Succeeded"
// +kubebuilder:validation:XValidation:rule="!has(self.manifest) || bytes(self.manifest).size() <= 65536",fieldPath=".manifest",message="manifest must be at most 64 KiB of UTF-8; report an image with a larger one as Failed"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || bytes(self.config).size() <= 131072",fieldPath=".config",message="config must be at most 128 KiB of UTF-8; report an image with a larger one as Failed"
type BuildReport struct {
	// outcome is Succeeded (manifest and config are required) or Failed (manifest and config must be absent, and
	// message tells why).
	// +required
	Outcome BuildOutcome `json:"outcome,omitempty"`

	// manifest is the image's manifest, byte for byte, up to 64 KiB of UTF-8: its SHA-256 is the image's digest, and the
	// controller publishes exactly these bytes. Required with Succeeded.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Manifest string `json:"manifest,omitempty"`

	// config is the image's configuration blob, byte for byte, up to 128 KiB of UTF-8: its SHA-256 is the config digest
	// in manifest. Required with Succeeded.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=131072
	Config string `json:"config,omitempty"`

	// durationSeconds is how many seconds the build took, 0 to one week. A later hit saves this time.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	DurationSeconds *int64 `json:"durationSeconds,omitempty"`

	// keyCoverage tells whether the key covers what the build read: Complete, Incomplete (other files or images went
	// into the build; the image is not published if the project's keyCoverage is RequireComplete) or
	// EnvironmentValues (values of the runner's environment went into the build; the image is never published).
	// Absent counts as Incomplete.
	// +optional
	KeyCoverage BuildKeyCoverage `json:"keyCoverage,omitempty"`

	// message tells in one sentence what went wrong or is worth knowing; up to 1,024 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// BuildKeyCoverage tells whether a key covers what its build reads.
// +kubebuilder:validation:Enum=Complete;Incomplete;EnvironmentValues
type BuildKeyCoverage string

// Kinds of coverage.
const (
	// Everything that the build reads is in the key.
	CoverageComplete BuildKeyCoverage = "Complete"
	// The build reads files or images that are not in the key.
	CoverageIncomplete BuildKeyCoverage = "Incomplete"
	// A value of the runner's environment reaches the build and is not in the key; the image is never published.
	CoverageEnvironmentValues BuildKeyCoverage = "EnvironmentValues"
)

// PullReport is how the pull of a cached image ended. The runner writes it once.
type PullReport struct {
	// outcome is Succeeded or Failed.
	// +required
	Outcome PullOutcome `json:"outcome,omitempty"`

	// durationSeconds is how many seconds the pull took, 0 to one week.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	DurationSeconds *int64 `json:"durationSeconds,omitempty"`

	// message tells in one sentence what went wrong; up to 1,024 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
