package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/tempfolder"
)

func (p *program) Build(ctx context.Context, r Request) (*Result, error) {
	if err := p.Ready(); err != nil {
		return nil, err
	}
	configuration, err := devcontainer.Load(r.Workspace, r.ConfigPath)
	if err != nil {
		// The reference CLI may read what we can't, and says what is wrong if not.
		if configuration, err = devcontainer.Locate(r.Workspace, r.ConfigPath); err != nil {
			return nil, err
		}
	}
	if r.Compose != nil {
		if err := p.ComposeReady(ctx, r.Platform); err != nil {
			return nil, err
		}
		configuration = r.Compose.Configuration
	}
	buildKit := p.hasBuildKit(ctx) && !p.needsOlderBuilder(configuration)
	if !buildKit && r.Platform != "" && r.Platform != ownPlatform() {
		return nil, fmt.Errorf(
			"build for %s: %w: %s without BuildKit builds for %s only", r.Platform, ErrNotSupported, p.name, ownPlatform(),
		)
	}
	unlock, err := p.lock(ctx, configuration, r, buildKit)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r.Compose != nil && !r.Compose.DevContainer {
		return p.buildService(ctx, r)
	}
	return p.build(ctx, configuration, r, buildKit)
}

// lock takes the locks that a build needs, until unlock.
func (p *program) lock(
	ctx context.Context, configuration *devcontainer.Configuration, r Request, buildKit bool,
) (unlock func(), err error) {
	store, err := p.store(ctx)
	if err != nil {
		return nil, err
	}
	unlockName, err := lockName(ctx, store, r.ImageName, r.Logs)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		unlockName = func() {} // where no lock can be made, the build goes on
	}
	unlockOther, err := func() {}, error(nil)
	switch {
	case r.Compose != nil:
		unlockOther, err = lockProject(ctx, store, r)
	case !buildKit && (len(configuration.Features) > 0 || configuration.Type == devcontainer.TypeUnknown):
		// Without BuildKit the reference CLI passes Features through an image
		// of one fixed name: two builds at once would get each other's.
		unlockOther, err = lockStore(ctx, store, r.Logs)
	}
	if err != nil {
		unlockName()
		return nil, err
	}
	return func() { unlockOther(); unlockName() }, nil
}

// inScratch runs a build with a folder for its temporary files.
func (p *program) inScratch(r Request, build func(run buildRun) (*Result, error)) (*Result, error) {
	temporary, environment, err := p.scratch(tempfolder.Build)
	if err != nil {
		return nil, err
	}
	defer func() { _ = temporary.Remove() }()
	// BuildKit would otherwise make an index with a provenance attestation:
	// https://docs.docker.com/build/metadata/attestations/#build-attestations
	environment = append(environment, "BUILDX_NO_DEFAULT_ATTESTATIONS=1", "LC_ALL=C")
	if r.Compose != nil {
		environment = append(append(environment, composeVariables...), buildxState(temporary.Path)...)
	}
	run := buildRun{folder: temporary.Path, environment: environment, cached: &cachedSteps{}}
	run.logs = run.cached
	if r.Logs != nil {
		run.logs = io.MultiWriter(run.cached, r.Logs)
	}
	return build(run)
}

func (p *program) build(
	ctx context.Context, configuration *devcontainer.Configuration, r Request, buildKit bool,
) (*Result, error) {
	return p.inScratch(r, func(run buildRun) (*Result, error) {
		// Feature builds are the same whichever lockfile is written back afterwards,
		// and a build must not change the workspace.
		kept, err := keepLockfile(configuration)
		if err != nil {
			return nil, err
		}
		defer kept.restore()
		if buildKit && r.Compose == nil {
			run.environment = append(run.environment, buildxState(run.folder)...)
		}
		var out bytes.Buffer
		c := command{
			path:        p.cli,
			arguments:   p.arguments(configuration, r, buildKit, kept.found),
			environment: append(run.environment, dockerconfig.Environment(r.DockerConfigDir)...),
			without:     withheld(r),
			folder:      configuration.Workspace,
			stdout:      &out,
			logs:        run.logs,
		}
		start := time.Now()
		err = c.run(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("build dev container: %w", err)
		}
		if err := p.outcome(ctx, r, out.Bytes(), err); err != nil {
			return nil, err
		}
		return p.result(ctx, r, run, time.Since(start)), nil
	})
}

// result describes a build that succeeded.
func (p *program) result(ctx context.Context, r Request, run buildRun, took time.Duration) *Result {
	result := &Result{ImageName: r.ImageName, Duration: took, CachedSteps: run.cached.total()}
	if stored, err := p.inspect(ctx, r.ImageName); err == nil { // without an ID, the build has still succeeded
		result.ImageID = stored.ID
	}
	return result
}

// withheldVariables are those of devcontainer.BuilderVariables that a build gets
// no value for. They would change what it makes, and no key holds them.
var withheldVariables = []string{
	"BUILDX_GIT_LABELS", "BUILDX_GIT_INFO", "BUILDX_METADATA_PROVENANCE",
	"SOURCE_DATE_EPOCH", defaultPlatform, "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY",
}

// defaultPlatform is a variable that keys of Compose services hold.
const defaultPlatform = "DOCKER_DEFAULT_PLATFORM"

// withheld are the variables that a build gets no value for.
func withheld(r Request) []string {
	if r.Compose == nil {
		return withheldVariables
	}
	return slices.DeleteFunc(slices.Clone(withheldVariables), func(name string) bool { return name == defaultPlatform })
}

func (p *program) arguments(configuration *devcontainer.Configuration, r Request, buildKit, lockfile bool) []string {
	arguments := []string{
		"build",
		"--workspace-folder", configuration.Workspace,
		"--config", filepath.Join(configuration.Workspace, filepath.FromSlash(configuration.Path)),
		"--image-name", r.ImageName,
		"--docker-path", p.path,
	}
	if !lockfile {
		arguments = append(arguments, "--no-lockfile")
	}
	// The reference CLI adds a syntax line that BuildKit would fetch from a
	// public registry. Where the Dockerfile asks for one itself, or is not known,
	// or where nothing else can build it, it stays.
	if !hasOwnSyntax(configuration) && configuration.Type != devcontainer.TypeUnknown &&
		!(buildKit && p.needsFrontend(configuration)) {
		arguments = append(arguments, "--omit-syntax-directive")
	}
	if !buildKit {
		// The reference CLI would use BuildKit wherever buildx is installed.
		arguments = append(arguments, "--buildkit", "never")
	}
	if r.Compose != nil {
		// The reference CLI takes no platform here, and writes no file that Docker Compose can read for --cache-from where
		// nothing else is added.
		if r.NoCache {
			arguments = append(arguments, "--no-cache")
		}
		return arguments
	}
	if buildKit && r.Platform != "" {
		arguments = append(arguments, "--platform", r.Platform)
	}
	if r.NoCache {
		arguments = append(arguments, "--no-cache")
	} else if buildKit && r.LayersFrom != "" {
		arguments = append(arguments, "--cache-from", r.LayersFrom)
	}
	return arguments
}

// answer is the last line that the reference CLI prints.
type answer struct {
	Outcome     string `json:"outcome"`
	Message     string `json:"message"`
	Description string `json:"description"`
}

// failedPull is the message of a base image that can't be had; it lacks the reason.
var failedPull = regexp.MustCompile(`^Command failed: .* pull (\S+)$`)

// noBase stands in a Dockerfile for no base image. The reference CLI takes it for the name of one.
const noBase = "scratch"

// noUser is the message for a user without a name, which the reference CLI asks the system for.
const noUser = "Command failed: id -u -n"

// outcome makes one error of the reference CLI's answer, of what it logged,
// and of how it ended.
func (p *program) outcome(ctx context.Context, r Request, printed []byte, runErr error) error {
	lines := bytes.Split(bytes.TrimSpace(printed), []byte("\n"))
	var a answer
	if err := json.Unmarshal(lines[len(lines)-1], &a); err != nil {
		if runErr == nil {
			return fmt.Errorf("build dev container: the dev container CLI gave no answer: %w", err)
		}
		return &BuildError{Message: message.Line(runErr.Error(), maxWords)}
	}
	if a.Outcome == "success" && runErr == nil {
		return nil
	}
	match := failedPull.FindStringSubmatch(a.Message)
	if a.Message == noUser {
		return fmt.Errorf(
			"build dev container: the dev container CLI needs the name of its user, and the user with ID %d has none: "+
				"add an entry to /etc/passwd, or run as another user",
			os.Getuid(),
		)
	}
	if match != nil && match[1] == noBase {
		return &BuildError{
			Message: "the dev container CLI can't build a Dockerfile whose last stage is FROM scratch: name a base image",
		}
	}
	if match != nil {
		if err := p.Pull(ctx, match[1], r.DockerConfigDir, nil); err != nil {
			return &BuildError{Message: message.Line(err.Error(), maxWords)}
		}
	}
	text := a.Message
	var said *programError
	if errors.As(runErr, &said) && (text == "" || strings.HasPrefix(text, "Command failed: ")) {
		text = said.words
	}
	return &BuildError{Message: message.Line(text, maxWords)}
}
