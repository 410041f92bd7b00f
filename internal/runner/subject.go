package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/compose"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// subject is what an image is made of: a configuration that was read, or a service of one, with its key. If that
// failed, keyError tells why. Then the configuration may have only its place, and the key has no hash.
type subject struct {
	configuration *devcontainer.Configuration
	// project and service are of a Docker Compose configuration that is cached; nil otherwise.
	project  *compose.Project
	service  *compose.Service
	key      *hash.Key
	keyError error
}

// isBypassed reports whether the subject is a whole Docker Compose configuration, which has no image of its own.
func (s subject) isBypassed() bool {
	return s.configuration.Type == devcontainer.TypeCompose && s.service == nil
}

// computeKey computes the key. A fault of ours in it must not end an environment either.
func (s subject) computeKey(ctx context.Context, o hash.Options) (key *hash.Key, err error) {
	defer describeFault("compute hash", &err)
	if s.service != nil {
		return s.service.ComputeKey(ctx, o)
	}
	return hash.Compute(ctx, s.configuration, o)
}

// again reads the subject once more.
func (s subject) again(ctx context.Context, configuration *devcontainer.Configuration) (subject, error) {
	now := subject{configuration: configuration}
	if s.service == nil {
		return now, nil
	}
	project, err := loadProject(ctx, configuration)
	if err != nil {
		return now, err
	}
	for i := range project.Services {
		if project.Services[i].Name == s.service.Name {
			now.project, now.service = project, &project.Services[i]
			return now, nil
		}
	}
	return now, fmt.Errorf("the service %s is no longer built", s.service.Name)
}

// loadProject reads the Compose project of a configuration.
func loadProject(ctx context.Context, configuration *devcontainer.Configuration) (project *compose.Project, err error) {
	defer describeFault("read Compose files", &err)
	return compose.Load(ctx, configuration, os.LookupEnv)
}

// describeFault makes an error of a panic. It is deferred.
func describeFault(doing string, err *error) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("%s: internal error: %v", doing, fault)
	}
}

// composeService describes the service for a builder; nil without Docker Compose.
func (s subject) composeService() *builder.ComposeService {
	if s.service == nil {
		return nil
	}
	described := &builder.ComposeService{
		Name: s.service.Name, DevContainer: s.service.DevContainer, Configuration: s.service.Configuration,
		Project: s.project.Name, Files: s.project.Paths(s.configuration.Workspace),
	}
	if s.project.EnvFile != "" {
		described.EnvFile = filepath.Join(s.configuration.Workspace, filepath.FromSlash(s.project.EnvFile))
	}
	return described
}
