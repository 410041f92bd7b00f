package devcontainer

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
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
	build := r.object("build")
	older := member(root, "dockerFile")
	switch {
	case older != nil || member(build, "dockerfile") != nil:
		c.Type = TypeDockerfile
		c.Dockerfile = r.text("build.dockerfile", member(build, "dockerfile"), true)
		c.Context = r.text("build.context", member(build, "context"), false)
		if older != nil {
			c.Dockerfile = r.text("dockerFile", older, true)
			c.Context = r.text("context", member(root, "context"), false)
		}
		r.readBuild(c, build)
	case member(root, "dockerComposeFile") != nil:
		c.Type = TypeCompose
		c.ComposeFiles = r.composeFiles(member(root, "dockerComposeFile"))
	case member(root, "image") != nil:
		c.Type = TypeImage
		c.Image = r.text("image", member(root, "image"), true)
	default:
		r.fail(0, "none of the properties image, build.dockerfile and dockerComposeFile is there")
	}
}

func (r *reader) readBuild(c *Configuration, build *hujson.Object) {
	c.Target = r.text("build.target", member(build, "target"), false)
	c.Options = r.texts("build.options", member(build, "options"))
	r.readOptions(c.Options)
	arguments := r.objectOf("build.args", member(build, "args"))
	if arguments == nil {
		return
	}
	c.Args = make(map[string]string, len(arguments.Members))
	for i := range arguments.Members {
		name := memberName(arguments.Members[i])
		c.Args[name] = r.argument("build.args."+name, &arguments.Members[i].Value)
	}
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

// featureProperties are the properties that a build with Features also reads:
// it writes them into the image or into what every install.sh sources, or
// installs Features in their order.
// https://containers.dev/implementors/features/#user-env-var
var featureProperties = []string{"containerEnv", "containerUser", "remoteUser", "overrideFeatureInstallOrder"}

func (r *reader) readFeatures(c *Configuration) {
	features := r.objectOf("features", member(r.document.root, "features"))
	if features == nil || len(features.Members) == 0 {
		return
	}
	for i := range features.Members {
		id := memberName(features.Members[i])
		c.Features = append(c.Features, FeatureOf(id, path.Dir(c.Path)))
		r.walk("features."+id, &features.Members[i].Value)
	}
	for _, name := range featureProperties {
		if value := member(r.document.root, name); value != nil {
			r.walk(name, value)
		}
	}
}

// containerWorkspace is the workspace's folder in the container, as
// "devcontainer build" takes it, which mounts the workspace and no folder above.
func (r *reader) containerWorkspace() string {
	if value := member(r.document.root, "workspaceFolder"); value != nil {
		if literal, ok := value.Value.(hujson.Literal); ok && literal.Kind() == '"' && literal.String() != "" {
			expanded, _, _ := r.variables.expand("workspaceFolder", literal.String())
			return expanded
		}
	}
	if r.variables.workspace == "" {
		return ""
	}
	return path.Join("/workspaces", path.Base(r.variables.workspace))
}

// walk notes the variables of all strings under a value.
func (r *reader) walk(property string, value *hujson.Value) {
	switch v := value.Value.(type) {
	case *hujson.Object:
		for i := range v.Members {
			r.walk(property+"."+memberName(v.Members[i]), &v.Members[i].Value)
		}
	case *hujson.Array:
		for i := range v.Elements {
			r.walk(property, &v.Elements[i])
		}
	case hujson.Literal:
		if v.Kind() == '"' {
			r.expand(property, value)
		}
	}
}

func (r *reader) expand(property string, value *hujson.Value) string {
	literal, _ := value.Value.(hujson.Literal)
	expanded, used, bad := r.variables.expand(property, literal.String())
	if bad != "" {
		r.fail(value.StartOffset, "%s: %s names no environment variable", property, bad)
	}
	for _, variable := range used {
		// Where the workspace lies doesn't matter to a path in it.
		if variable.Env || !strings.HasSuffix(strings.ToLower(property), "dockerfile") && !strings.HasSuffix(property, "context") {
			r.used = append(r.used, variable)
		}
	}
	return expanded
}

// text reads a string; null counts as absent unless the property is required.
func (r *reader) text(property string, value *hujson.Value, required bool) string {
	if value == nil || !required && isNull(value) {
		return ""
	}
	literal, ok := value.Value.(hujson.Literal)
	if !ok || literal.Kind() != '"' {
		r.fail(value.StartOffset, "%s: want a string, found %s", property, kindOf(value))
		return ""
	}
	if required && literal.String() == "" {
		r.fail(value.StartOffset, "%s: is empty", property)
	}
	return r.expand(property, value)
}

func (r *reader) texts(property string, value *hujson.Value) []string {
	if value == nil || isNull(value) {
		return nil
	}
	array, ok := value.Value.(*hujson.Array)
	if !ok {
		r.fail(value.StartOffset, "%s: want an array of strings, found %s", property, kindOf(value))
		return nil
	}
	texts := make([]string, 0, len(array.Elements))
	for i := range array.Elements {
		texts = append(texts, r.text(property, &array.Elements[i], false))
	}
	return texts
}

func (r *reader) composeFiles(value *hujson.Value) []string {
	if literal, ok := value.Value.(hujson.Literal); ok && literal.Kind() == '"' {
		return []string{r.text("dockerComposeFile", value, true)}
	}
	return r.texts("dockerComposeFile", value)
}

// argument makes a build argument's value the string that JavaScript makes of it.
func (r *reader) argument(property string, value *hujson.Value) string {
	literal, ok := value.Value.(hujson.Literal)
	if !ok {
		r.fail(value.StartOffset, "%s: want a string, found %s", property, kindOf(value))
		return ""
	}
	switch literal.Kind() {
	case '"':
		return r.expand(property, value)
	case '0':
		return number(literal)
	default:
		return string(literal)
	}
}

// number writes a number as JavaScript does, which is also how encoding/json
// writes a float64: https://pkg.go.dev/encoding/json#Marshal
func number(literal hujson.Literal) string {
	parsed, err := strconv.ParseFloat(string(literal), 64)
	if err != nil {
		return string(literal)
	}
	written, err := json.Marshal(parsed)
	if err != nil {
		return string(literal)
	}
	return string(written)
}

func (r *reader) object(name string) *hujson.Object {
	return r.objectOf(name, member(r.document.root, name))
}

func (r *reader) objectOf(property string, value *hujson.Value) *hujson.Object {
	if value == nil || isNull(value) {
		return nil
	}
	object, ok := value.Value.(*hujson.Object)
	if !ok {
		r.fail(value.StartOffset, "%s: want an object, found %s", property, kindOf(value))
		return nil
	}
	return object
}

func (r *reader) fail(offset int, format string, args ...any) {
	if r.err == nil {
		r.err = r.document.errorAt(offset, format, args...)
	}
}
