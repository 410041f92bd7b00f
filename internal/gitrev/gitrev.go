// Package gitrev writes the files of a commit into a folder, with the git program that the machine has.
package gitrev

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Extract writes what the folder dir of a git repository holds in a revision, such as HEAD~1, into an existing folder;
// or what another folder holds, such as HEAD~1:app, which is named from the repository's top.
func Extract(ctx context.Context, dir, revision, folder string) error {
	if strings.HasPrefix(revision, "-") {
		return fmt.Errorf("read commit: %q is no revision", revision)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("read commit: %w", err)
	}
	defer func() { _ = root.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	top, err := ask(ctx, dir, "--show-toplevel")
	if err != nil {
		return err
	}
	if !strings.Contains(revision, ":") {
		below, err := ask(ctx, dir, "--show-prefix")
		if err != nil {
			return err
		}
		if below != "" {
			revision += ":" + below
		}
	}
	var said bytes.Buffer
	archive := exec.CommandContext(ctx, "git", "-C", top, "archive", "--format=tar", revision)
	archive.Stderr = &said
	stream, err := archive.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read commit: %w", err)
	}
	if err := archive.Start(); err != nil {
		return fmt.Errorf("read commit: %w", err)
	}
	unpackErr := unpack(root, stream)
	if unpackErr != nil {
		cancel() // nobody reads on
	}
	if err := archive.Wait(); err != nil && said.Len() > 0 {
		return fmt.Errorf("read commit %s: %s", revision, strings.Join(strings.Fields(said.String()), " "))
	} else if err != nil && unpackErr == nil {
		return fmt.Errorf("read commit %s: %w", revision, err)
	}
	if unpackErr != nil {
		return fmt.Errorf("read commit %s: %w", revision, unpackErr)
	}
	return nil
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

// unpack writes an archive's files. Everything is opened through root, so no name leads out of it.
func unpack(root *os.Root, stream io.Reader) error {
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(header.Linkname, name)
		case tar.TypeReg:
			err = writeFile(root, name, os.FileMode(header.Mode).Perm(), archive)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
