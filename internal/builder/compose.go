package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/override"
)

// ComposeService is a service of Docker Compose whose image is built.
type ComposeService struct {
	// Name of the service.
	Name string
	// DevContainer means that the reference CLI builds the service; Docker Compose builds the others.
	DevContainer bool
	// Configuration says from what the service is built, in the form of a configuration without Docker Compose.
	Configuration *devcontainer.Configuration
	// Project is the name of the project, Files are the absolute paths of its files, in their order.
	Project string
	Files   []string
	// EnvFile is the absolute path of the project's variables; "" for the default one.
	EnvFile string
}

// Composer is an engine with Docker Compose.
type Composer interface {
	// ComposeReady reports in one sentence why services can't be built here for a platform, or not started with images of
	// the cache; nil if they can. "" is the engine's own platform.
	ComposeReady(ctx context.Context, platform string) error
}

// ComposeReady reports what an engine says of Docker Compose, or that it knows nothing of it: see Composer.
func ComposeReady(ctx context.Context, engine Engine, platform string) error {
	composer, can := engine.(Composer)
	if !can {
		return fmt.Errorf("%w: %s builds no services of Docker Compose", ErrNotSupported, engine.Name())
	}
	return composer.ComposeReady(ctx, platform)
}

// The first version of Docker Compose in which a file takes the build of another one away:
// https://docs.docker.com/reference/compose-file/merge/#reset-value
const (
	composeMajor = 2
	composeMinor = 24
)

var versionNumbers = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// ComposeReady is for docker with BuildKit alone: only that was seen to work.
func (p *program) ComposeReady(ctx context.Context, platform string) error {
	if p.name != Docker {
		return fmt.Errorf("%w: Docker Compose services are cached with docker, not with %s", ErrNotSupported, p.name)
	}
	if isOlder(p.server, firstWithContexts, 0) || !p.hasBuildKit(ctx) {
		return fmt.Errorf(
			"%w: Docker Compose services are cached with docker %d or later and buildx; update docker, or install buildx",
			ErrNotSupported, firstWithContexts,
		)
	}
	if platform != "" && platform != ownPlatform() {
		return fmt.Errorf(
			"%w: Docker Compose services are built for %s here, not for %s", ErrNotSupported, ownPlatform(), platform,
		)
	}
	version, err := p.output(ctx, "compose", "version", "--short")
	if err != nil {
		return fmt.Errorf(
			"%w: docker has no Compose plugin: install Docker Compose %d.%d or later", ErrNotSupported, composeMajor,
			composeMinor,
		)
	}
	if isOlder(version, composeMajor, composeMinor) {
		return fmt.Errorf(
			"%w: Docker Compose %s can't start services with other images: update it to %d.%d or later", ErrNotSupported,
			message.Line(version, maxWords), composeMajor, composeMinor,
		)
	}
	return nil
}

// isOlder reports whether a version is known to be before another one.
func isOlder(version string, major, minor int) bool {
	match := versionNumbers.FindStringSubmatch(version)
	if match == nil {
		return false
	}
	hasMajor, _ := strconv.Atoi(match[1])
	hasMinor, _ := strconv.Atoi(match[2])
	return hasMajor < major || hasMajor == major && hasMinor < minor
}

// lockProject takes the lock of a project for a build of its dev container. The reference CLI passes the image through
// a name that all projects of this name share.
func lockProject(ctx context.Context, store string, r Request) (unlock func(), err error) {
	if r.Compose == nil || !r.Compose.DevContainer {
		return func() {}, nil
	}
	return lock(ctx, store+" project "+r.Compose.Project, "of the Compose project "+r.Compose.Project, r.Logs)
}

// composeVariables are what a build with Docker Compose needs beside the others. Docker Compose passes the contexts
// that the files name to buildx, which otherwise asks a person whether it may read those outside of the current folder:
// https://docs.docker.com/build/building/variables/#buildx_bake_entitlements_fs
var composeVariables = []string{"BUILDX_BAKE_ENTITLEMENTS_FS=0"}

// buildService lets Docker Compose build a service under the image's name.
func (p *program) buildService(ctx context.Context, r Request) (*Result, error) {
	return p.inScratch(r, func(run buildRun) (*Result, error) {
		renamed := filepath.Join(run.folder, "image.yml")
		content := override.ComposeNames(map[string]string{r.Compose.Name: r.ImageName})
		if err := os.WriteFile(renamed, content, 0o600); err != nil {
			return nil, fmt.Errorf("write Compose file: %w", err)
		}
		c := command{
			path: p.path, arguments: serviceArguments(r, renamed), folder: r.Compose.Configuration.Workspace,
			environment: append(run.environment, dockerconfig.Environment(r.DockerConfigDir)...),
			without:     withheld(r), stdout: run.logs, logs: run.logs,
		}
		start := time.Now()
		err := c.run(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("build service %s: %w", r.Compose.Name, err)
		}
		var said *programError
		if errors.As(err, &said) {
			return nil, &BuildError{Message: message.Line(said.words, maxWords)}
		}
		if err != nil {
			return nil, &BuildError{Message: message.Line(err.Error(), maxWords)}
		}
		return p.result(ctx, r, run, time.Since(start)), nil
	})
}

// serviceArguments are those of docker that build a service. renamed is a Compose file that names the image.
func serviceArguments(r Request, renamed string) []string {
	arguments := []string{"compose", "--project-name", r.Compose.Project}
	for _, file := range r.Compose.Files {
		arguments = append(arguments, "--file", file)
	}
	arguments = append(arguments, "--file", renamed)
	if r.Compose.EnvFile != "" {
		arguments = append(arguments, "--env-file", r.Compose.EnvFile)
	}
	arguments = append(arguments, "build")
	if r.NoCache {
		arguments = append(arguments, "--no-cache")
	}
	return append(arguments, r.Compose.Name)
}

// buildRun is what one build gets.
type buildRun struct {
	folder      string
	environment []string
	logs        io.Writer
	cached      *cachedSteps
}
