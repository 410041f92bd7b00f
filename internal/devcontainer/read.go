package devcontainer

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"imagecache.dev/internal/jsonc"
)

// reader takes the properties that decide what is built out of a document.
// The first error stays.
type reader struct {
	document  *document
	variables variables
	used      []Variable
	err       error
}

func read(name string, raw []byte, v variables) (*Configuration, error) {
	document, err := parseDocument(name, raw)
	if err != nil {
		return nil, err
	}
	r := &reader{document: document, variables: v}
	r.variables.containerWorkspace = r.containerWorkspace()
	c := &Configuration{Path: name, Raw: raw, Lockfile: lockfileOf(name), document: document}
	r.readType(c)
	r.readFeatures(c)
	c.Variables = r.used
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

// readType sorts configurations as "devcontainer build" does: a Dockerfile
// before Compose, Compose before an image, by the presence of the property.
func (r *reader) readType(c *Configuration) {
	root := r.document.root
	build := root.Member("build")
	older := root.Member("dockerFile")
	if older == nil && build != nil && build.Kind != jsonc.Object && build.Kind != jsonc.Array {
		r.fail(build.Offset, "build: want an object, found %s", kindOf(build))
	}
	switch {
	case r.hasDockerfile():
		c.Type = TypeDockerfile
		c.Dockerfile = r.text("build.dockerfile", build.Member("dockerfile"), true)
		c.Context = r.text("build.context", build.Member("context"), false)
		if older != nil {
			c.Dockerfile = r.text("dockerFile", older, true)
			c.Context = r.text("context", root.Member("context"), false)
		}
		r.readBuild(c, build)
	case root.Member("dockerComposeFile") != nil:
		c.Type = TypeCompose
		c.ComposeFiles = r.composeFiles(root.Member("dockerComposeFile"))
		c.Service = r.serviceName(root.Member("service"))
		c.RunServices = r.serviceNames(root.Member("runServices"))
	case root.Member("image") != nil:
		c.Type = TypeImage
		c.Image = r.text("image", root.Member("image"), true)
	default:
		r.failWithoutType()
	}
}

// failWithoutType names the first fault of the file, too: the property may be missing because of it.
func (r *reader) failWithoutType() {
	const message = "none of the properties image, build.dockerfile and dockerComposeFile is there"
	if fault := r.document.fault; fault != nil {
		r.fail(fault.Offset, "%s, and %s", fault.Message, message)
		return
	}
	r.fail(0, message)
}

func (r *reader) readBuild(c *Configuration, build *jsonc.Value) {
	if target := build.Member("target"); target.Truthy() {
		c.Target = r.argument("build.target", target)
	}
	c.Options = r.options(build.Member("options"))
	r.readOptions(c.Options)
	c.Args = r.arguments(build.Member("args"))
}

// options are what JavaScript adds to a command line for ...options. Of a string, these are its characters; what has no
// length adds nothing.
func (r *reader) options(options *jsonc.Value) []string {
	const property = "build.options"
	if options == nil {
		return nil
	}
	switch options.Kind {
	case jsonc.Array:
		texts := make([]string, len(options.Elements))
		for i := range options.Elements {
			before := len(r.used)
			texts[i] = r.argument(property, &options.Elements[i])
			if isContextFolder(texts, i) {
				// Where the workspace lies doesn't matter to a folder in it.
				used := slices.DeleteFunc(r.used[before:], func(v Variable) bool { return !v.Env })
				r.used = r.used[:before+len(used)]
			}
		}
		return texts
	case jsonc.String:
		return strings.Split(r.expand(property, options), "")
	case jsonc.Object:
		if options.Member("length").Truthy() {
			r.fail(options.Offset, "%s: want an array of strings, found %s", property, kindOf(options))
		}
	}
	return nil
}

// isContextFolder reports whether an option is a named context that is a folder.
func isContextFolder(options []string, i int) bool {
	const option = "--build-context"
	_, value, found := strings.Cut(options[i], "=")
	if name, _, _ := strings.Cut(options[i], "="); name == option {
		_, value, found = strings.Cut(value, "=")
	} else if i == 0 || options[i-1] != option {
		return false
	}
	return found && !strings.Contains(value, "://")
}

// arguments are the properties of build.args that JavaScript finds: those of an array or a string are its elements, by
// their indexes.
func (r *reader) arguments(args *jsonc.Value) map[string]string {
	const property = "build.args"
	if args == nil {
		return nil
	}
	arguments := map[string]string{}
	switch args.Kind {
	case jsonc.Object:
		for i := range args.Members {
			name := args.Members[i].Name()
			arguments[name] = r.argument(property+"."+name, &args.Members[i].Value)
		}
	case jsonc.Array:
		for i := range args.Elements {
			name := strconv.Itoa(i)
			arguments[name] = r.argument(property+"."+name, &args.Elements[i])
		}
	case jsonc.String:
		for i, unit := range utf16.Encode([]rune(r.expand(property, args))) {
			arguments[strconv.Itoa(i)] = string(rune(unit))
		}
	default:
		return nil
	}
	return arguments
}

// readOptions notes the build arguments without a value: the builder takes
// them from its environment.
func (r *reader) readOptions(options []string) {
	for i, option := range options {
		name, found := strings.CutPrefix(option, "--build-arg=")
		if option == "--build-arg" && i+1 < len(options) {
			name, found = options[i+1], true
		}
		if found && name != "" && !strings.Contains(name, "=") {
			variable, _ := r.variables.env("build.options", []string{name})
			r.used = append(r.used, variable)
		}
	}
}

// pathProperties are paths that a build reads from, and nothing else.
var pathProperties = []string{"dockerFile", "build.dockerfile", "context", "build.context"}

// featureProperties are the properties that a build with Features also reads:
// it writes them into the image or into what every install.sh sources, or
// installs Features in their order.
// https://containers.dev/implementors/features/#user-env-var
var featureProperties = []string{"containerEnv", "containerUser", "remoteUser", "overrideFeatureInstallOrder"}

func (r *reader) readFeatures(c *Configuration) {
	features := r.objectOf("features", r.document.root.Member("features"))
	if features == nil || len(features.Members) == 0 {
		return
	}
	for i := range features.Members {
		id := features.Members[i].Name()
		c.Features = append(c.Features, FeatureOf(id, path.Dir(c.Path)))
		r.walk("features."+id, &features.Members[i].Value)
	}
	for _, name := range featureProperties {
		if value := r.document.root.Member(name); value != nil {
			r.walk(name, value)
		}
	}
}

// hasDockerfile reports whether the configuration names a Dockerfile, which wins
// over Docker Compose and an image.
func (r *reader) hasDockerfile() bool {
	root := r.document.root
	return root.Member("dockerFile") != nil || root.Member("build").Member("dockerfile") != nil
}

// containerWorkspace is the workspace's folder in the container, as
// "devcontainer build" takes it, which mounts the workspace and no folder above.
// Docker Compose's own files mount it, or don't.
func (r *reader) containerWorkspace() string {
	if value := r.document.root.Member("workspaceFolder"); value.Truthy() {
		if value.Kind != jsonc.String {
			r.fail(value.Offset, "workspaceFolder: want a string, found %s", kindOf(value))
		}
		expanded, _, _ := r.variables.expand("workspaceFolder", value.Text())
		return expanded
	}
	if r.document.root.Member("dockerComposeFile") != nil && !r.hasDockerfile() {
		return "/"
	}
	if r.variables.workspace == "" {
		return ""
	}
	return path.Join("/workspaces", path.Base(r.variables.workspace))
}

// walk notes the variables of all strings under a value.
func (r *reader) walk(property string, value *jsonc.Value) {
	switch value.Kind {
	case jsonc.Object:
		for i := range value.Members {
			r.walk(property+"."+value.Members[i].Name(), &value.Members[i].Value)
		}
	case jsonc.Array:
		for i := range value.Elements {
			r.walk(property, &value.Elements[i])
		}
	case jsonc.String:
		r.expand(property, value)
	}
}

func (r *reader) expand(property string, value *jsonc.Value) string {
	expanded, used, bad := r.variables.expand(property, value.Text())
	if bad != "" {
		r.fail(value.Offset, "%s: %s names no environment variable", property, bad)
	}
	for _, variable := range used {
		// Where the workspace lies doesn't matter to a path in it.
		if variable.Env || !slices.Contains(pathProperties, property) {
			r.used = append(r.used, variable)
		}
	}
	return expanded
}

// text reads a string; what JavaScript takes as false counts as absent unless the property is required.
func (r *reader) text(property string, value *jsonc.Value, required bool) string {
	if value == nil || !required && !value.Truthy() {
		return ""
	}
	if value.Kind != jsonc.String {
		r.fail(value.Offset, "%s: want a string, found %s", property, kindOf(value))
		return ""
	}
	if required && value.Text() == "" {
		r.fail(value.Offset, "%s: is empty", property)
	}
	return r.expand(property, value)
}

func (r *reader) texts(property string, value *jsonc.Value) []string {
	if value == nil || value.Kind == jsonc.Null {
		return nil
	}
	if value.Kind != jsonc.Array {
		r.fail(value.Offset, "%s: want an array of strings, found %s", property, kindOf(value))
		return nil
	}
	texts := make([]string, 0, len(value.Elements))
	for i := range value.Elements {
		texts = append(texts, r.text(property, &value.Elements[i], false))
	}
	return texts
}

// argument returns the string that JavaScript makes of a value for a command line, which it can't for an object.
func (r *reader) argument(property string, value *jsonc.Value) string {
	switch value.Kind {
	case jsonc.String:
		return r.expand(property, value)
	case jsonc.Array:
		return jsonc.JoinElements(value.Elements, func(element *jsonc.Value) string {
			return r.argument(property, element)
		})
	case jsonc.Object:
		r.fail(value.Offset, "%s: want a string, found %s", property, kindOf(value))
		return ""
	default:
		return value.String()
	}
}

// objectOf reads an object. It returns nil for what has no properties in JavaScript either: null, numbers, booleans,
// empty strings and empty arrays.
func (r *reader) objectOf(property string, value *jsonc.Value) *jsonc.Value {
	switch {
	case !value.Truthy(), value.Kind == jsonc.Number, value.Kind == jsonc.Boolean:
		return nil
	case value.Kind == jsonc.Array && len(value.Elements) == 0:
		return nil
	case value.Kind != jsonc.Object:
		r.fail(value.Offset, "%s: want an object, found %s", property, kindOf(value))
		return nil
	}
	return value
}

func (r *reader) fail(offset int, format string, args ...any) {
	if r.err == nil {
		r.err = r.document.errorAt(offset, format, args...)
	}
}
