package compose

import (
	"context"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// Project is what a dev container configuration starts of a Docker Compose project.
type Project struct {
	// Files are the Compose files that the project is read from: those that the configuration names, in their order, and
	// then those that these include or extend, by path.
	Files []hash.ComposeFile
	// Services are the dev container's service, and then the other services that are started and built here, by name.
	Services []Service
	// Images are the names of the other services that are started, by name. They take an image as it is.
	Images []string
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
	// Composed is what Docker Compose adds to the key.
	Composed hash.Service
}

// ComputeKey makes the key of the service's image. It reads what hash.Compute reads.
func (s *Service) ComputeKey(ctx context.Context, o hash.Options) (*hash.Key, error) {
	return hash.ComputeService(ctx, s.Configuration, s.Composed, o)
}
