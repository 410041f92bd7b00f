package devcontainer

import "imagecache.dev/internal/jsonc"

// composeFiles returns nil where the reference implementation takes Docker Compose's default files.
func (r *reader) composeFiles(value *jsonc.Value) []string {
	switch value.Kind {
	case jsonc.String:
		return []string{r.text("dockerComposeFile", value, true)}
	case jsonc.Array:
		return r.texts("dockerComposeFile", value)
	default:
		return nil
	}
}

// serviceName returns "" for what is not a string: a configuration without a service is no error here, because its
// devcontainer.json is used without the Compose files, too. A variable in it chooses a service, whose name is in a key.
func (r *reader) serviceName(value *jsonc.Value) string {
	if value == nil || value.Kind != jsonc.String {
		return ""
	}
	expanded, _, _ := r.variables.expand("service", value.Text())
	return expanded
}

func (r *reader) serviceNames(value *jsonc.Value) []string {
	if value == nil || value.Kind != jsonc.Array {
		return nil
	}
	var names []string
	for i := range value.Elements {
		if name := r.serviceName(&value.Elements[i]); name != "" {
			names = append(names, name)
		}
	}
	return names
}
