package hash

import (
	"context"
	"fmt"
	"slices"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/dockerfile"
)

// maker gathers the inputs and the warnings of one key.
type maker struct {
	configuration *devcontainer.Configuration
	service       *Service // nil without Docker Compose
	options       Options
	key           *Key
}

func (m *maker) make(ctx context.Context) error {
	for _, input := range m.options.Inputs {
		if !slices.Contains(Settings, input) {
			return fmt.Errorf("no key input is named %q: want some of %q", input, Settings)
		}
	}
	c := m.configuration
	if c.Type == devcontainer.TypeDockerfile && len(c.DockerfileRaw) == 0 {
		return fmt.Errorf("the Dockerfile %s is empty", c.Dockerfile)
	}
	m.add(contentInput(InputConfiguration, c.Path, c.Raw))
	if c.Type == devcontainer.TypeDockerfile && (m.service == nil || !m.service.Inline) {
		m.add(contentInput(InputDockerfile, c.Dockerfile, c.DockerfileRaw))
	}
	m.composed()
	if err := m.gather(ctx); err != nil {
		return err
	}
	m.key.Complete = !slices.ContainsFunc(m.key.Warnings, func(w Warning) bool { return w.Code.incomplete() })
	slices.SortFunc(m.key.Inputs, compareInputs)
	// Contexts may overlap: what is the same file is one input.
	m.key.Inputs = slices.Compact(m.key.Inputs)
	var err error
	m.key.Hash, err = sumSorted(m.key.Platform, m.key.Inputs)
	return err
}

// gather adds what was asked for, and warns of what was not.
func (m *maker) gather(ctx context.Context) error {
	recipe, err := m.recipe()
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *dockerfile.Recipe) error{m.buildContext, m.baseImages, m.features} {
		if err := step(ctx, recipe); err != nil {
			return err
		}
	}
	m.remotes(recipe)
	m.localEnv(recipe)
	return nil
}

func (m *maker) wants(setting string) bool {
	return slices.Contains(m.options.Inputs, setting)
}

func (m *maker) add(inputs ...Input) {
	m.key.Inputs = append(m.key.Inputs, inputs...)
}

func (m *maker) warn(w Warning, format string, args ...any) {
	w.Message = fmt.Sprintf(format, args...)
	if w.Setting != "" {
		w.Message += "; the key input " + w.Setting + " covers it"
	}
	m.key.Warnings = append(m.key.Warnings, w)
}
