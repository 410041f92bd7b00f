package devcontainer

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrOutside says that a path leads out of the workspace, where nothing is ever read.
var ErrOutside = errors.New("outside of the workspace")

// InWorkspace makes a path relative to the workspace, with slashes. A relative
// one is taken from the workspace. One that leads out of it is ErrOutside.
func InWorkspace(workspace, name string) (string, error) {
	relative := name
	if filepath.IsAbs(name) {
		var err error
		if relative, err = filepath.Rel(workspace, name); err != nil {
			return "", fmt.Errorf("%s is %w %s", name, ErrOutside, workspace)
		}
	}
	relative = path.Clean(filepath.ToSlash(relative))
	if Outside(relative) {
		return "", fmt.Errorf("%s is %w %s", name, ErrOutside, workspace)
	}
	return relative, nil
}

// Outside reports whether a cleaned, relative path leads out of its folder.
func Outside(relative string) bool {
	return relative == ".." || strings.HasPrefix(relative, "../") || path.IsAbs(relative)
}

// resolve takes name from folder, as the reference implementation does from
// the configuration's folder; folder is relative to the workspace. The result
// begins with ".." where it lies outside.
func resolve(workspace, folder, name string) string {
	if !path.IsAbs(name) {
		return path.Join(folder, name)
	}
	relative, err := filepath.Rel(workspace, name)
	if err != nil {
		return ".." + path.Clean(name)
	}
	return path.Clean(filepath.ToSlash(relative))
}

func isNotFolder(err error) bool {
	return errors.Is(err, syscall.ENOTDIR)
}
