package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"imagecache.dev/internal/dockerconfig"
)

// CLIVariable names the environment variable with the reference CLI's path;
// without it, "devcontainer" is looked for on PATH.
const CLIVariable = "IMAGECACHE_DEVCONTAINER_CLI"

// probeTimeout bounds how long an engine may take to say that it is there.
const probeTimeout = 10 * time.Second

// Find returns the named engine, or with "" the one that the machine has:
// docker if its daemon answers, else podman. The embedded one is there on
// every machine, and taken on request alone, as it builds so little.
func Find(ctx context.Context, name string) (Engine, error) {
	switch name {
	case Docker, Podman:
		return findProgram(ctx, name)
	case Embedded:
		return findEmbedded()
	case "":
		engine, dockerErr := findProgram(ctx, Docker)
		if dockerErr == nil {
			return engine, nil
		}
		if engine, err := findProgram(ctx, Podman); err == nil {
			if expectsDocker() {
				engine.passedOver = errors.New(strings.TrimPrefix(dockerErr.Error(), ErrNoEngine.Error()+": "))
			}
			return engine, nil
		}
		if _, err := exec.LookPath(Docker); err == nil && expectsDocker() {
			return nil, dockerErr
		}
		return nil, fmt.Errorf(
			"%w: neither docker with a running daemon nor podman is there; install one of them (%s builds configurations with an image and without Features)",
			ErrNoEngine, Embedded,
		)
	default:
		return nil, fmt.Errorf("%w: %q is none of %s, %s and %s", ErrNoEngine, name, Docker, Podman, Embedded)
	}
}

// PassedOver returns the reason why Find did not choose docker, although the machine has a docker daemon or names one.
// It returns nil otherwise.
func PassedOver(engine Engine) error {
	if p, ok := engine.(*program); ok {
		return p.passedOver
	}
	return nil
}

// dockerSocket is where docker finds its daemon unless told.
const dockerSocket = "/var/run/docker.sock"

// expectsDocker reports whether something names a docker daemon, so that another engine would surprise the user.
func expectsDocker() bool {
	if os.Getenv("DOCKER_HOST") != "" || os.Getenv("DOCKER_CONTEXT") != "" {
		return true
	}
	if !slices.Contains([]string{"", defaultContext}, dockerconfig.CurrentContext()) {
		return true
	}
	_, err := os.Stat(dockerSocket)
	return err == nil
}

// defaultContext is docker's name for no context: it uses DOCKER_HOST, or the socket.
const defaultContext = "default"

func findProgram(ctx context.Context, name string) (*program, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not on PATH", ErrNoEngine, name)
	}
	p := &program{name: name, path: path, cli: os.Getenv(CLIVariable)}
	if p.cli == "" {
		p.cli = "devcontainer"
	}
	if name == Podman {
		p.findTemporary(context.WithoutCancel(ctx))
	}
	if name == Docker {
		// A docker client without a daemon is no engine.
		probe, cancel := context.WithTimeoutCause(ctx, probeTimeout, fmt.Errorf("no answer within %s", probeTimeout))
		defer cancel()
		if p.server, err = p.output(probe, "version", "--format", "{{.Server.Version}}"); err != nil {
			return nil, fmt.Errorf("%w: docker is there, its daemon does not answer: %w", ErrNoEngine, err)
		}
		p.findStore(context.WithoutCancel(ctx))
	}
	return p, nil
}
