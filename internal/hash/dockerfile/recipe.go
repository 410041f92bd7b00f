package dockerfile

import "strings"

// Options of one build.
type Options struct {
	// Args are the build arguments.
	Args map[string]string
	// Target stage, "" for the last one.
	Target string
	// Platform as "linux/amd64".
	Platform string
	// Contexts are the named contexts, by name: a folder, or a URL as "docker-image://…".
	Contexts map[string]string
}

// Recipe is what a target of a Dockerfile takes from outside of it, in the
// order of its lines.
type Recipe struct {
	Sources []Source
	Images  []Image
	Remotes []Remote
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
