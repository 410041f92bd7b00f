package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imagecache.dev/internal/devcontainer"
)

// guard is compose-go's loader of what an include or an extends names and the mirror does not lead to by itself: remote
// files and absolute paths. It lets no path out of the mirror.
type guard struct {
	mirror *mirror
	// remotes are what is somewhere else, as it is written.
	remotes []string
	// names is how many names compose-go asked about.
	names int
}

// maxNames bounds how many names a project's includes and extends may lead to, in all readings. compose-go notices a
// cycle of includes by their first files alone, and follows others until the stack is full.
const maxNames = 5000

// errTooManyNames is the error for a project beyond maxNames.
var errTooManyNames = fmt.Errorf("its includes and extends lead to more than %d files, as a cycle does", maxNames)

// remotePrefixes are how Docker Compose knows a file that it fetches:
// https://docs.docker.com/compose/how-tos/multiple-compose-files/include/,
// https://docs.docker.com/reference/cli/docker/compose/
var remotePrefixes = []string{"git@", "github.com/", "git://", "ssh://", "http://", "https://", "oci://"}

func isRemote(name string) bool {
	return slices.ContainsFunc(remotePrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Accept reports whether the guard, and not compose-go's own loader of files, loads a name.
func (g *guard) Accept(name string) bool {
	g.names++
	return g.names > maxNames || isRemote(name) || strings.Count(name, "..") > maxUp ||
		filepath.IsAbs(name) && !g.mirror.holds(name)
}

// Load returns the place of a file in the mirror. In the place of a remote file it is one without services.
func (g *guard) Load(_ context.Context, name string) (string, error) {
	switch {
	case g.names > maxNames:
		return "", errTooManyNames
	case isRemote(name):
		if !slices.Contains(g.remotes, name) {
			g.remotes = append(g.remotes, name)
		}
		place := filepath.Join(g.mirror.folder.Path, "remote.yml")
		return place, os.WriteFile(place, []byte("services: {}\n"), 0o600)
	case !filepath.IsAbs(name):
		return "", fmt.Errorf("read Compose file: %s is %w", name, devcontainer.ErrOutside)
	}
	file, err := inWorkspace(g.mirror.workspace, ".", name)
	if err != nil {
		return "", fmt.Errorf("read Compose file: %s is %w", name, err)
	}
	return g.mirror.path(file), g.mirror.takeCompose(file)
}

// Dir returns the folder from which relative paths in a file are taken.
func (g *guard) Dir(name string) string {
	if file, err := inWorkspace(g.mirror.workspace, ".", name); err == nil && filepath.IsAbs(name) {
		return filepath.Dir(g.mirror.path(file))
	}
	return g.mirror.folder.Path
}
