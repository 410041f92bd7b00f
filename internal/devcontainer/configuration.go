package devcontainer

// Type says what a configuration builds its image from.
type Type string

const (
	// TypeUnknown is the type of a configuration that was found and not read.
	TypeUnknown Type = ""
	// TypeImage starts from a ready image: property "image".
	TypeImage Type = "Image"
	// TypeDockerfile builds a Dockerfile: "build.dockerfile" or the older "dockerFile".
	TypeDockerfile Type = "Dockerfile"
	// TypeCompose takes a service of Docker Compose files: "dockerComposeFile".
	TypeCompose Type = "Compose"
)

// Configuration is one devcontainer.json with what it refers to, resolved as
// far as a build needs it. Strings have their variables substituted, except
// where a field says otherwise.
type Configuration struct {
	// Workspace is the absolute path of the workspace's folder, "" for contents read by Parse.
	Workspace string
	// Path of the devcontainer.json, relative to the workspace.
	Path string
	Type Type
	// Raw is the devcontainer.json exactly as it is on disk, a byte order mark included.
	Raw []byte
	// Image is the base image, "" unless Type is TypeImage.
	Image string
	// Dockerfile is the path relative to the workspace, "" unless Type is
	// TypeDockerfile. After Parse it is the path as written.
	Dockerfile string
	// DockerfileRaw is the Dockerfile exactly as it is on disk. Parse leaves it nil.
	DockerfileRaw []byte
	// Context is the build context's folder relative to the workspace; "." is
	// the workspace itself. One that begins with ".." lies outside: a build can
	// use it, but nothing in this module reads it. After Parse it is the path as
	// written, "" where none is.
	Context string
	// Target is the Dockerfile's stage to build, "" for the last one.
	Target string
	// Args are the build arguments, as the strings that reach the builder.
	Args map[string]string
	// Options are further arguments of the builder's command line.
	Options []string
	// Features in the order in which they are written.
	Features []Feature
	// ComposeFiles as written, nil unless Type is TypeCompose. Of TypeCompose it is
	// nil or empty where Docker Compose's default files are meant: nil where
	// "dockerComposeFile" is neither a string nor an array.
	ComposeFiles []string
	// Service is the service of the Compose files that is the dev container, ""
	// where the configuration names none, and unless Type is TypeCompose.
	Service string
	// RunServices are the services that are started beside Service, nil for all.
	RunServices []string
	// Lockfile is the path at which the Features' lockfile belongs, relative to
	// the workspace; whether the file is there is not said.
	Lockfile string
	// Variables are the uses of variables whose values differ between machines
	// and that reach the image, in the order in which they are written.
	Variables []Variable

	document *document
}

// Variable is one use of a variable of the local machine, such as
// ${localEnv:HOME}, in a property that decides what is built.
type Variable struct {
	// Property where it stands, as "build.args.TOKEN".
	Property string
	// File where it stands, relative to the workspace; "" for the devcontainer.json.
	File string
	// Name of the environment variable; for any other variable its own name, as "localWorkspaceFolder".
	Name string
	// Env says that Name is an environment variable.
	Env bool
	// Set says that the variable is there; where not, its default applies.
	Set bool
	// Value that it has here, without the default; may be a secret.
	Value string
}
