package builder

import (
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
// Features, and no syntax line that brings a newer frontend.
func (p *program) needsOlderBuilder(configuration *devcontainer.Configuration) bool {
	number, _, _ := strings.Cut(p.server, ".")
	major, err := strconv.Atoi(number)
	return err == nil && major < firstWithContexts && len(configuration.Features) > 0 && !hasOwnSyntax(configuration)
}
