package v1alpha1

// ConfigurationType is the kind of a dev container configuration.
// +kubebuilder:validation:Enum=Image;Dockerfile;Compose
type ConfigurationType string

// Configuration types. ConfigurationCompose is cached where the project's compose is Cached.
const (
	// Devcontainer.json names an image.
	ConfigurationImage ConfigurationType = "Image"
	// Devcontainer.json names a Dockerfile.
	ConfigurationDockerfile ConfigurationType = "Dockerfile"
	// Devcontainer.json names Docker Compose files. Each service that is built is a request of its own.
	ConfigurationCompose ConfigurationType = "Compose"
)

// InlineConfiguration is the contents of a configuration. The controller computes the hash from them.
// +kubebuilder:validation:XValidation:rule="bytes(self.devcontainerJSON).size() <= 98304",fieldPath=".devcontainerJSON",message="devcontainerJSON must be at most 96 KiB of UTF-8; give configHash instead"
// +kubebuilder:validation:XValidation:rule="!has(self.dockerfile) || bytes(self.dockerfile).size() <= 98304",fieldPath=".dockerfile",message="dockerfile must be at most 96 KiB of UTF-8; give configHash instead"
type InlineConfiguration struct {
	// devcontainerJSON is the file's contents, byte for byte, up to 96 KiB of UTF-8.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=98304
	DevcontainerJSON string `json:"devcontainerJSON,omitempty"`

	// dockerfile is the contents, byte for byte, of the Dockerfile that devcontainerJSON names, up to 96 KiB of UTF-8.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=98304
	Dockerfile string `json:"dockerfile,omitempty"`
}

// KeyInput is one input of the hash with its digest. It explains a miss.
type KeyInput struct {
	// name is the input's name, such as devcontainer.json, Dockerfile or "BuildContext main.go".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// digest is sha256: and the 64 hex characters of the input's SHA-256.
	// +required
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[0-9a-f]{64}$')",message="must be sha256: and 64 lowercase hex characters"
	Digest string `json:"digest,omitempty"`
}

// KeyInputKind is an additional input of the configuration hash.
// +kubebuilder:validation:Enum=BuildContext;BaseImages;Features;LocalEnv
type KeyInputKind string

// Kinds of additional key inputs; docs/hash.md describes what each adds.
const (
	// The files that the Dockerfile copies.
	KeyInputBuildContext KeyInputKind = "BuildContext"
	// The digests that image and FROM resolve to.
	KeyInputBaseImages KeyInputKind = "BaseImages"
	// The files of local Features, and the lockfile.
	KeyInputFeatures KeyInputKind = "Features"
	// The values of ${localEnv:…} that reach the build.
	KeyInputLocalEnv KeyInputKind = "LocalEnv"
)

// LayerCompression is how the layers of published images are compressed.
// +kubebuilder:validation:Enum=Zstd;Gzip
type LayerCompression string

// Compressions of layers.
const (
	// Zstandard, in frames of 4 MiB: smaller than gzip, and unpacked in less time.
	LayerCompressionZstd LayerCompression = "Zstd"
	// Gzip, which everything can read.
	LayerCompressionGzip LayerCompression = "Gzip"
)

// KeyCoverage tells what happens if a build reads more than its key covers.
// +kubebuilder:validation:Enum=Warn;RequireComplete
type KeyCoverage string

// Kinds of key coverage.
const (
	// The image is published, and the builder is warned.
	KeyCoverageWarn KeyCoverage = "Warn"
	// The image is not published and is used where it was built.
	KeyCoverageRequireComplete KeyCoverage = "RequireComplete"
)

// LayerReuse tells which cached images a miss may take layers over from.
// +kubebuilder:validation:Enum=Prebuilds;Off;Any
type LayerReuse string

// Ways to reuse layers.
const (
	// Images that a prebuild published.
	LayerReusePrebuilds LayerReuse = "Prebuilds"
	// No image.
	LayerReuseOff LayerReuse = "Off"
	// All images of the project: a build of any environment can then decide what layers of others contain.
	LayerReuseAny LayerReuse = "Any"
)

// ComposePolicy tells what the answer to Docker Compose configurations is.
// +kubebuilder:validation:Enum=Bypassed;Cached
type ComposePolicy string

// Compose policies.
const (
	// Docker Compose configurations are built as if the cache did not exist.
	ComposePolicyBypassed ComposePolicy = "Bypassed"
	// The image of each service that is built is cached.
	ComposePolicyCached ComposePolicy = "Cached"
)
