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
	top, err := ask(ctx, dir, "--show-toplevel")
	if err != nil {
		return err
	}
	commit, below, named := strings.Cut(revision, ":")
	if !named {
		if below, err = ask(ctx, dir, "--show-prefix"); err != nil {
			return err
		}
	}
	if err := extract(ctx, top, commit, path.Clean("/" + below)[1:], folder); err != nil {
		return fmt.Errorf("read commit %s: %w", revision, err)
	}
	return nil
}

// extract checks out what is below a folder of a commit, by an index of its own: the repository's stays as it is. The
// attributes of the whole commit apply.
func extract(ctx context.Context, top, commit, below, folder string) error {
	private, err := os.MkdirTemp(folder, ".checkout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(private) }()
	r := repository{top: top, index: filepath.Join(private, "index")}
	if err := r.run(ctx, nil, nil, "read-tree", commit+"^{tree}"); err != nil {
		return err
	}
	var names bytes.Buffer
	paths := below
	if paths == "" {
		paths = "."
	}
	if err := r.run(ctx, nil, &names, "ls-files", "-z", "--", ":(literal)"+paths); err != nil {
		return err
	}
	if names.Len() == 0 && below != "" {
		return fmt.Errorf("it has no folder %s", below)
	}
	// Git refuses names that lead out of the folder: https://git-scm.com/docs/git-read-tree
	files := filepath.Join(private, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	if err := r.run(ctx, &names, nil, "checkout-index", "-q", "-z", "--stdin", "--prefix="+files+"/"); err != nil {
		return err
	}
	return moveAll(filepath.Join(files, filepath.FromSlash(below)), folder)
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

// repository is a git repository with another index than its own.
type repository struct{ top, index string }

// run runs a git command. Its error is one line, in git's own words where git said any.
func (r repository) run(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	var said bytes.Buffer
	git := exec.CommandContext(ctx, "git", append([]string{"-C", r.top}, args...)...)
	git.Env = append(os.Environ(), "GIT_INDEX_FILE="+r.index)
	git.Stdin, git.Stdout, git.Stderr = stdin, stdout, &said
	err := git.Run()
	if words := strings.Join(strings.Fields(said.String()), " "); err != nil && words != "" {
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
