package hash

import (
	"maps"
	"strings"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
)

// recipe says what the build takes from outside of the two files. A
// Dockerfile that is not understood is a warning where only the two files
// count, and else an error.
func (m *maker) recipe() (*dockerfile.Recipe, error) {
	c := m.configuration
	switch c.Type {
	case devcontainer.TypeImage:
		return &dockerfile.Recipe{Images: []dockerfile.Image{{Reference: c.Image}}}, nil
	case devcontainer.TypeCompose:
		m.warn(Warning{Code: ComposeNotSupported, Path: c.Path}, "Docker Compose configurations are not cached: the key covers %s alone", c.Path)
		return &dockerfile.Recipe{}, nil
	}
	recipe, err := dockerfile.Analyze(c.DockerfileRaw, m.buildOptions())
	if err == nil {
		return recipe, nil
	}
	if m.wants(InputBuildContext) || m.wants(InputBaseImages) {
		return nil, err
	}
	m.warn(Warning{Code: DockerfileNotUnderstood, Path: c.Dockerfile}, "what the build uses is not known: %v", err)
	return &dockerfile.Recipe{}, nil
}

// remotes warns of what ADD fetches without a checksum.
func (m *maker) remotes(recipe *dockerfile.Recipe) {
	for _, remote := range recipe.Remotes {
		if !remote.Pinned {
			m.warn(Warning{Code: RemoteSourceNotCovered, Path: m.configuration.Dockerfile, Line: remote.Line},
				"%s is fetched without a checksum, so its content is not in the key; add --checksum, or a Git commit", remote.URL)
		}
	}
}

// buildOptions reads build.options as the builder's command line is read:
// https://docs.docker.com/reference/cli/docker/buildx/build/#options
func (m *maker) buildOptions() dockerfile.Options {
	c := m.configuration
	o := dockerfile.Options{Args: maps.Clone(c.Args), Target: c.Target, Platform: m.key.Platform, Contexts: map[string]string{}}
	if o.Args == nil {
		o.Args = map[string]string{}
	}
	for _, variable := range c.Variables {
		if variable.Property == "build.options" && variable.Set {
			o.Args[variable.Name] = variable.Value
		}
	}
	for option, value := range flags(c.Options) {
		name, rest, found := strings.Cut(value, "=")
		switch option {
		case "--build-arg":
			if found {
				o.Args[name] = rest
			}
		case "--build-context":
			o.Contexts[name] = rest
		case "--target":
			o.Target = value
		case "-f", "--file", "--secret", "--ssh", "--env-file", "-v", "--volume":
			m.warn(Warning{Code: OptionNotCovered, Path: c.Path}, "build.options has %s, which brings in what no key covers", option)
		}
	}
	return o
}

// flags yields the arguments of a command line with their values, which stand
// behind "=" or in the next argument.
func flags(options []string) func(yield func(option, value string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(options); i++ {
			option, value, found := strings.Cut(options[i], "=")
			if !strings.HasPrefix(option, "-") {
				continue
			}
			if !found && i+1 < len(options) && !strings.HasPrefix(options[i+1], "-") {
				i++
				value = options[i]
			}
			if !yield(option, value) {
				return
			}
		}
	}
}
