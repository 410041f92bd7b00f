package hash

import (
	"cmp"
	"slices"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
)

// buildPlatform is the name of the input with the platform of the machine that builds.
const buildPlatform = "BUILDPLATFORM"

// localEnv adds the variables of this machine that reach the build. Which
// default applies is in the devcontainer.json; so a variable's content is "="
// and its value, or nothing where it is not set.
func (m *maker) localEnv(recipe *dockerfile.Recipe) {
	variables := m.configuration.Variables
	if recipe.BuildPlatform {
		variables = append(variables[:len(variables):len(variables)], devcontainer.Variable{
			Property: m.configuration.Dockerfile, Name: buildPlatform, Set: true, Value: m.options.BuildPlatform,
		})
	}
	seen := map[string]bool{}
	for _, variable := range variables {
		name := variable.Name
		if !variable.Env {
			name = "${" + name + "}"
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		file := cmp.Or(variable.File, m.configuration.Path)
		if !m.wants(InputLocalEnv) {
			m.warn(Warning{Code: LocalEnvNotCovered, Setting: InputLocalEnv, Path: file},
				"%s takes the value of %s on this machine, which is not in the key", variable.Property, name)
			continue
		}
		if variable.Env && slices.Contains(devcontainer.BuilderVariables, variable.Name) {
			m.warn(Warning{Code: LocalEnvNotCovered, Path: file},
				"%s takes the value of %s, which the builder sets itself; use another variable", variable.Property, name)
			continue
		}
		var content []byte
		if variable.Set {
			content = []byte("=" + variable.Value)
		}
		m.add(contentInput(InputLocalEnv, name, content))
	}
}
