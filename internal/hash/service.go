package hash

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/files"
)

// Service is what Docker Compose adds to the key of a service's image.
type Service struct {
	// Name of the service.
	Name string
	// Files are the Compose files that the project is read from.
	Files []ComposeFile
	// Resolved is what decides about the image in the resolved project, as
	// docs/hash.md writes it down.
	Resolved []byte
	// Direct means that Docker Compose builds the Dockerfile as it is; otherwise
	// the reference CLI builds a changed copy.
	Direct bool
	// Inline means that the Dockerfile stands in a Compose file. Resolved holds its
	// text then, as every machine reads it, and it is no input of its own.
	Inline bool
	// Warnings of what the project takes from elsewhere.
	Warnings []Warning
}

// ComposeFile is one file that a Compose project is read from.
type ComposeFile struct {
	// Path relative to the workspace.
	Path string
	Raw  []byte
}

// ComputeService makes the key of the image of one service. The configuration
// says what the service builds from: its Type is TypeDockerfile or TypeImage,
// or TypeUnknown for a build whose Dockerfile is somewhere else.
func ComputeService(ctx context.Context, c *devcontainer.Configuration, s Service, o Options) (*Key, error) {
	switch {
	case c.Type == devcontainer.TypeCompose:
		return nil, errors.New("compute hash: the configuration of a service names what the service builds from")
	case s.Name == "" || len(s.Files) == 0:
		return nil, errors.New("compute hash: a service has a name and Compose files")
	}
	return computeKey(ctx, c, &s, o)
}

func computeKey(ctx context.Context, c *devcontainer.Configuration, s *Service, o Options) (*Key, error) {
	if o.Limits == (files.Limits{}) {
		o.Limits = files.DefaultLimits
	}
	if o.Resolve == nil {
		o.Resolve = resolveNow
	}
	if o.BuildPlatform == "" {
		o.BuildPlatform = "linux/" + runtime.GOARCH
	}
	platform, err := normalizePlatform(o.Platform)
	if err != nil {
		return nil, fmt.Errorf("compute hash: %w", err)
	}
	m := &maker{
		configuration: c, service: s, options: o,
		key: &Key{Version: Version, Platform: platform, Warnings: []Warning{}},
	}
	if err := m.make(ctx); err != nil {
		return nil, fmt.Errorf("compute hash: %w", err)
	}
	return m.key, nil
}

// composed adds what Docker Compose adds.
func (m *maker) composed() {
	if m.service == nil {
		return
	}
	for _, file := range m.service.Files {
		m.add(contentInput(InputComposeFile, file.Path, file.Raw))
	}
	m.add(contentInput(InputService, m.service.Name, m.service.Resolved))
	m.key.Warnings = append(m.key.Warnings, m.service.Warnings...)
}

// direct reports whether the Dockerfile is built as it is.
func (m *maker) direct() bool {
	return m.service != nil && m.service.Direct
}
