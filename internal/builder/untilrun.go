package builder

import (
	"bytes"
	"io"
)

// RunCommand is what the reference CLI logs as soon as it has built the image and runs the container, with docker and
// with podman: https://github.com/devcontainers/cli/blob/v0.89.0/src/spec-node/singleContainer.ts
const RunCommand = " run --sig-proxy"

// untilRun passes the reference CLI's log on, and unlocks the image store when the container starts: its lifecycle
// commands may take hours, and build nothing. unlock may be called several times.
type untilRun struct {
	logs   io.Writer
	unlock func()
	last   []byte // the end of the log, in which the command may begin
	seen   bool
}

func (u *untilRun) Write(p []byte) (int, error) {
	if !u.seen {
		u.last = append(u.last, p...)
		if u.seen = bytes.Contains(u.last, []byte(RunCommand)); u.seen {
			u.unlock()
			u.last = nil
		} else if surplus := len(u.last) - len(RunCommand); surplus > 0 {
			u.last = append(u.last[:0], u.last[surplus:]...)
		}
	}
	return u.logs.Write(p)
}
