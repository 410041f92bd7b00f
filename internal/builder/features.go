package builder

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"imagecache.dev/internal/devcontainer"
)

// firstWithContexts is the first major version of Docker whose own Dockerfile frontend takes additional build contexts,
// by which the reference CLI passes Features: https://docs.docker.com/engine/release-notes/23.0/
const firstWithContexts = 23

// hasOwnSyntax reports whether the Dockerfile names the frontend that builds it.
func hasOwnSyntax(configuration *devcontainer.Configuration) bool {
	syntax, _, _, _ := parser.DetectSyntax(configuration.DockerfileRaw)
	return syntax != ""
}

// needsOlderBuilder reports whether a configuration can't be built with the BuildKit of an older Docker: it has
// Features, and no syntax line that brings a newer frontend. A Dockerfile that only BuildKit builds gets the reference
// CLI's line.
func (p *program) needsOlderBuilder(configuration *devcontainer.Configuration) bool {
	return p.lacksContexts(configuration) && !needsBuildKit(configuration)
}

// needsFrontend reports whether a configuration can only be built with a newer frontend, which the reference CLI's
// syntax line brings from a public registry.
func (p *program) needsFrontend(configuration *devcontainer.Configuration) bool {
	return p.lacksContexts(configuration) && needsBuildKit(configuration)
}

// lacksContexts reports whether the frontend of an older Docker would get Features that it can't take.
func (p *program) lacksContexts(configuration *devcontainer.Configuration) bool {
	number, _, _ := strings.Cut(p.server, ".")
	major, err := strconv.Atoi(number)
	return err == nil && major < firstWithContexts && len(configuration.Features) > 0 && !hasOwnSyntax(configuration)
}

// needsBuildKit reports whether a Dockerfile has what Docker's older builder refuses: other flags than --from, --chown
// and --platform, and here-documents.
func needsBuildKit(configuration *devcontainer.Configuration) bool {
	parsed, err := parser.Parse(bytes.NewReader(configuration.DockerfileRaw))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(parsed.AST.Children, func(instruction *parser.Node) bool {
		return len(instruction.Heredocs) > 0 || slices.ContainsFunc(instruction.Flags, isBuildKits)
	})
}

// olderFlags are the flags that all builders take, HEALTHCHECK's among them:
// https://github.com/moby/moby/blob/v20.10.24/builder/dockerfile/dispatchers.go
var olderFlags = []string{"--from", "--chown", "--platform", "--interval", "--timeout", "--start-period", "--retries"}

func isBuildKits(flag string) bool {
	name, _, _ := strings.Cut(flag, "=")
	return !slices.Contains(olderFlags, name)
}
