package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"imagecache.dev/internal/tempfolder"
)

// client is the engine's client for one run of "devcontainer up", whose files the caller removes.
//
// The reference CLI waits for the event of a container's start, and asks for events at the moment at which it starts
// the container: https://github.com/devcontainers/cli/blob/v0.89.0/src/spec-node/singleContainer.ts. A client that is
// slower to listen, on a busy machine, never tells of the start, and the CLI would wait for ever. So this client asks
// for the events of the last second, too.
type client struct {
	path   string
	folder *tempfolder.Folder // nil where the engine's own client is used
}

// clientScript takes the quoted path of the engine's client. docker and podman take --since in seconds since 1970.
const clientScript = `#!/bin/sh
if [ "$1" = events ]; then
	shift
	set -- events --since $(($(date +%%s) - 1)) "$@"
fi
exec %s "$@"
`

// newClient writes a client, or returns the engine's own: for a remote podman, and where scripts can't run, because a
// file system forbids it.
func (p *program) newClient() (client, error) {
	if p.isRemotePodman() {
		return client{path: p.path}, nil
	}
	folder, err := tempfolder.New(tempfolder.Client)
	if err != nil {
		return client{}, err
	}
	c := client{path: filepath.Join(folder.Path, filepath.Base(p.path)), folder: folder}
	quoted := "'" + strings.ReplaceAll(p.path, "'", `'\''`) + "'"
	if err := os.WriteFile(c.path, fmt.Appendf(nil, clientScript, quoted), 0o700); err != nil {
		c.remove()
		return client{}, fmt.Errorf("write a client of %s: %w", p.name, err)
	}
	if runs := unix.Access(c.path, unix.X_OK) == nil; runs {
		return c, nil
	}
	c.remove()
	return client{path: p.path}, nil
}

func (c client) remove() {
	if c.folder != nil {
		_ = c.folder.Remove()
	}
}

// isRemotePodman reports whether podman runs on another machine, whose clock may be behind. It could hold back all
// events until the time of --since, which docker does not do:
// https://docs.podman.io/en/v4.3/markdown/podman.1.html
func (p *program) isRemotePodman() bool {
	named := os.Getenv("CONTAINER_HOST") + os.Getenv("CONTAINER_CONNECTION")
	return p.name == Podman && (runtime.GOOS != "linux" || named != "")
}
