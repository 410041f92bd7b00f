package builder

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
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
		if engine, err := findProgram(ctx, Docker); err == nil {
			return engine, nil
		}
		if engine, err := findProgram(ctx, Podman); err == nil {
			return engine, nil
		}
		return nil, fmt.Errorf("%w: neither docker with a running daemon nor podman is there; install one of them (%s builds configurations with an image and without Features)", ErrNoEngine, Embedded)
	default:
		return nil, fmt.Errorf("%w: %q is none of %s, %s and %s", ErrNoEngine, name, Docker, Podman, Embedded)
	}
}

func findProgram(ctx context.Context, name string) (*program, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not on PATH", ErrNoEngine, name)
	}
	p := &program{name: name, path: path, cli: os.Getenv(CLIVariable)}
	if p.cli == "" {
		p.cli = "devcontainer"
	}
	if name == Docker {
		// A docker client without a daemon is no engine.
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		if p.server, err = p.output(probe, "version", "--format", "{{.Server.Version}}"); err != nil {
			return nil, fmt.Errorf("%w: docker is there, its daemon does not answer: %w", ErrNoEngine, err)
		}
	}
	return p, nil
}
