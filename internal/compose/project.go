package compose

import (
	"context"
	"path/filepath"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// Project is what a dev container configuration starts of a Docker Compose project.
type Project struct {
	// Name of the project, as the reference CLI gives it to Docker Compose.
	Name string
	// Called are the files that the reference CLI calls Docker Compose with, in their order, relative to the workspace.
	Called []string
	// EnvFile is the file of variables that the reference CLI names, relative to the workspace; "" where it names none,
	// or the one that Docker Compose takes by itself.
	EnvFile string
	// Files are the Compose files that the project is read from: those that the configuration names, in their order, and
	// then those that these include or extend, by path.
	Files []hash.ComposeFile
	// Services are the dev container's service, and then the other services that are started and built here, by name.
	Services []Service
	// Images are the names of the other services that are started, by name. They take an image as it is.
	Images []string
}

// Paths are the absolute paths of the files that Docker Compose is called with.
func (p *Project) Paths(workspace string) []string {
	paths := make([]string, 0, len(p.Called))
	for _, file := range p.Called {
		paths = append(paths, filepath.Join(workspace, filepath.FromSlash(file)))
	}
	return paths
}

// Service is one service whose image is built.
type Service struct {
	Name string
	// DevContainer means that the reference CLI builds the service, with Features and label. Docker Compose builds the
	// others.
	DevContainer bool
	// Configuration says from what the service is built, in the form of a configuration without Docker Compose. Its Type
	// is TypeUnknown where the Dockerfile is somewhere else.
	Configuration *devcontainer.Configuration
	// User is the container's user, "" where the Compose files set none.
	User string
	// Composed is what Docker Compose adds to the key.
	Composed hash.Service
}

// ComputeKey makes the key of the service's image. It reads what hash.Compute reads.
func (s *Service) ComputeKey(ctx context.Context, o hash.Options) (*hash.Key, error) {
	return hash.ComputeService(ctx, s.Configuration, s.Composed, o)
}
