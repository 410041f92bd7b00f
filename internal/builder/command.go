package builder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"imagecache.dev/internal/priority"
	"imagecache.dev/internal/supervisor"
)

// command is one run of a program, which ends with this process at the latest.
type command struct {
	path        string
	arguments   []string
	environment []string // added to this process's
	without     []string // variables of this process that the program doesn't get
	folder      string   // to run in; this process's where empty
	stdin       io.Reader
	stdout      io.Writer
	logs        io.Writer // standard error, as it comes
	starts      bool      // it starts containers, which stay when ctx ends
}

// run blocks until the program has ended, and with ctx ends it and all that
// it started. It has the priority of ctx. The error holds the program's own last words.
func (c command) run(ctx context.Context) error {
	said := &tail{limit: 64 << 10}
	cmd := exec.CommandContext(ctx, c.path, c.arguments...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), c.withholds), c.environment...)
	cmd.Dir = c.folder
	cmd.Stdin, cmd.Stdout = c.stdin, c.stdout
	cmd.Stderr = said
	if c.logs != nil {
		cmd.Stderr = io.MultiWriter(said, c.logs)
	}
	run := supervisor.Run
	if c.starts {
		run = supervisor.RunKeepingContainers
	}
	var err error
	priority.Do(ctx, func() { err = run(cmd) })
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s ended: %w", filepath.Base(c.path), context.Cause(ctx))
	case err == nil:
		return nil
	}
	if words := lastWords(said.Bytes()); words != "" {
		return &programError{words: words, err: err}
	}
	return fmt.Errorf("%s: %w", filepath.Base(c.path), err)
}

// withholds reports whether the program doesn't get a variable, as "NAME=value".
func (c command) withholds(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(c.without, name)
}

// programError is a program that ran and failed, in its own words.
type programError struct {
	words string
	err   error
}

func (e *programError) Error() string { return e.words }
func (e *programError) Unwrap() error { return e.err }

// tail keeps the last bytes that are written to it.
type tail struct {
	bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	if excess := t.Len() + len(p) - t.limit; excess > 0 {
		t.Next(min(excess, t.Len()))
	}
	_, _ = t.Buffer.Write(p[max(0, len(p)-t.limit):])
	return len(p), nil
}
