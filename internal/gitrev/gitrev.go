// Package gitrev writes the files of a commit into a folder, with the git program that the machine has.
package gitrev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Extract writes what the folder dir of a git repository holds in a revision, such as HEAD~1, into an existing, empty
// folder; or what another folder holds, such as HEAD~1:app, which is named from the repository's top. The files are
// those that a checkout would write: line ends and filters apply, and the attributes export-ignore and export-subst,
// which an archive obeys, don't.
func Extract(ctx context.Context, dir, revision, folder string) error {
	if strings.HasPrefix(revision, "-") {
		return fmt.Errorf("read commit: %q is no revision", revision)
	}
	commit, below, named := cutPath(revision)
	gitDir, err := ask(ctx, dir, "--absolute-git-dir")
	if err != nil {
		return err
	}
	if !named {
		if below, err = ask(ctx, dir, "--show-prefix"); err != nil {
			return err
		}
	}
	if err := extract(ctx, gitDir, commit, path.Clean("/" + below)[1:], folder); err != nil {
		return fmt.Errorf("read commit %s: %w", revision, err)
	}
	return nil
}

// FolderName returns the name of the folder that Extract takes from a revision.
func FolderName(ctx context.Context, dir, revision string) (string, error) {
	_, below, named := cutPath(revision)
	if !named {
		absolute, err := filepath.Abs(dir)
		return filepath.Base(absolute), err
	}
	if below = path.Clean("/" + below); below != "/" {
		return path.Base(below), nil
	}
	top, err := ask(ctx, dir, "--show-toplevel")
	return filepath.Base(top), err
}

// cutPath cuts a revision before the colon of a path. A colon in braces, as in
// HEAD@{2026-01-01 10:00}, or at the beginning, as in :/text, is another one:
// https://git-scm.com/docs/gitrevisions
func cutPath(revision string) (commit, below string, found bool) {
	depth := 0
	for i, letter := range revision {
		switch {
		case letter == '{':
			depth++
		case letter == '}':
			depth--
		case letter == ':' && depth == 0 && i > 0:
			return revision[:i], revision[i+1:], true
		case letter == ':' && i == 0:
			return revision, "", false
		}
	}
	return revision, "", false
}

// extract checks out what is below a folder of a commit, with an index and a work tree of its own: the repository's
// stay as they are, and the attributes are those of the commit.
func extract(ctx context.Context, gitDir, commit, below, folder string) error {
	private, err := os.MkdirTemp(folder, ".checkout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(private) }()
	files := filepath.Join(private, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	g := git{dir: gitDir, workTree: files, index: filepath.Join(private, "index")}
	var object bytes.Buffer
	if err := g.run(ctx, nil, &object, "rev-parse", "--verify", commit); err != nil {
		return err
	}
	if err := g.run(ctx, nil, nil, "read-tree", strings.TrimSpace(object.String())); err != nil {
		return err
	}
	var names bytes.Buffer
	paths := below
	if paths == "" {
		paths = "."
	}
	if err := g.run(ctx, nil, &names, "ls-files", "-z", "--", ":(literal)"+paths); err != nil {
		return err
	}
	if names.Len() == 0 && below != "" {
		return fmt.Errorf("it has no folder %s", below)
	}
	// Git refuses names that lead out of the folder: https://git-scm.com/docs/git-read-tree
	if err := g.run(ctx, &names, nil, "checkout-index", "-q", "-z", "--stdin"); err != nil {
		return err
	}
	if err := giveUsualRights(files); err != nil {
		return err
	}
	return moveAll(filepath.Join(files, filepath.FromSlash(below)), folder)
}

// giveUsualRights lets everybody read, whatever the umask of this process: a
// commit tells nothing of it.
func giveUsualRights(folder string) error {
	return filepath.WalkDir(folder, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type() == os.ModeSymlink {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o044
		if mode&0o100 != 0 {
			mode |= 0o011
		}
		return os.Chmod(name, mode)
	})
}

// moveAll moves what is in one folder into another of the same file system.
func moveAll(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.Rename(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// git is a git repository with another index and work tree than its own.
type git struct{ dir, workTree, index string }

// run runs a git command. Its error is one line, in git's own words where git printed any.
func (g git) run(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	var printed bytes.Buffer
	command := exec.CommandContext(
		ctx, "git",
		append([]string{"--git-dir=" + g.dir, "--work-tree=" + g.workTree}, args...)...)
	command.Dir = g.workTree
	command.Env = append(os.Environ(), "GIT_INDEX_FILE="+g.index)
	command.Stdin, command.Stdout, command.Stderr = stdin, stdout, &printed
	err := command.Run()
	if words := strings.Join(strings.Fields(printed.String()), " "); err != nil && words != "" {
		return errors.New(words)
	}
	return err
}

// ask asks git something about the repository that dir is in.
func ask(ctx context.Context, dir, what string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", what).Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return "", fmt.Errorf("read commit: %s is in no git repository", dir)
	}
	if err != nil {
		return "", fmt.Errorf("read commit: %w", err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
