package dockerfile

import "strings"

// Options of one build.
type Options struct {
	// Args are the build arguments, those of the builder's command line included.
	Args map[string]string
	// ConfiguredArgs are those that the configuration names itself. The reference
	// CLI reads these alone.
	ConfiguredArgs map[string]string
	// Target is the stage that the configuration names, "" for the last one. The
	// reference CLI appends a stage to it and builds that.
	Target string
	// Untargeted means that no target is set, so the builder builds the last stage.
	Untargeted bool
	// TargetOption is the stage that the builder's command line names. It wins.
	TargetOption string
	// Platform of the image as "linux/amd64", "" where it isn't known.
	Platform string
	// BuildPlatform is the platform of the machine that builds, as "linux/amd64".
	BuildPlatform string
	// Direct means that the Dockerfile is built as it is, as Docker Compose does;
	// otherwise the reference CLI builds a changed copy, with a stage of its own.
	Direct bool
	// Contexts are the named contexts, by name: a folder, or a URL as "docker-image://…".
	Contexts map[string]string
}

// Recipe is what a target of a Dockerfile takes from outside of it, in the
// order of its lines.
type Recipe struct {
	Sources []Source
	Images  []Image
	Remotes []Remote
	// BuildPlatform reports whether the build uses the platform of the machine
	// that builds, and BuildPlatformLine where it first does.
	BuildPlatform     bool
	BuildPlatformLine int
}

// Source is one thing that is taken from a context.
type Source struct {
	// Context is the folder of a named context, as it was given; "" for the build context.
	Context string
	// Path from the context's top, with slashes, without a leading one; "." is the whole context.
	Path string
	// Wildcards says that Path is a pattern of path.Match; otherwise it is a name.
	Wildcards bool
	// Include is a pattern below Path of what alone is taken, "" for all (COPY --parents).
	Include string
	// Exclude are patterns below Path of what is not taken (COPY --exclude).
	Exclude []string
	// Optional reports whether a build succeeds where nothing has this name.
	Optional bool
	// Mount reports whether RUN --mount takes it: buildah mounts a folder with
	// all in it, whatever an ignore file says.
	Mount bool
	// Line of the instruction, from 1.
	Line int
}

// Image is a base image, or one that files are copied from.
type Image struct {
	// Reference as the build resolves it, variables replaced.
	Reference string
	// Platform where the Dockerfile says one, else "".
	Platform string
	Line     int
}

// Pinned reports whether the reference names its content.
func (i Image) Pinned() bool {
	return strings.Contains(i.Reference, "@sha256:")
}

// Remote is something that is fetched from elsewhere.
type Remote struct {
	// URL as it is written, variables replaced.
	URL string
	// Pinned by a checksum or a commit.
	Pinned bool
	Line   int
}
