package devcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The places of a configuration, first match wins:
// https://containers.dev/implementors/spec/#devcontainerjson
const (
	folderName      = ".devcontainer"
	fileName        = "devcontainer.json"
	defaultPath     = folderName + "/" + fileName
	rootPath        = ".devcontainer.json"
	maxFolders      = 1000
	nestedPathShown = folderName + "/<name>/" + fileName
)

// ErrNotFound says that the workspace has no configuration, or not the one asked for.
var ErrNotFound = errors.New("no dev container configuration")

// Find returns the path, relative to the workspace, of the configuration to
// use: configPath where it is given, relative to the workspace or absolute
// inside of it, else the first of the two default places. Configurations in
// .devcontainer/<name>/ are used on request only, as several may be there.
func Find(workspace, configPath string) (string, error) {
	root, _, err := openWorkspace(workspace)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	return find(root, configPath)
}

// List returns the paths of all configurations of a workspace, relative to
// it: the two default places first, then those on request, sorted.
func List(workspace string) ([]string, error) {
	root, _, err := openWorkspace(workspace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	return list(root)
}

// openWorkspace also returns the absolute path, its symbolic links kept.
func openWorkspace(workspace string) (*os.Root, string, error) {
	absolute, err := filepath.Abs(workspace)
	if err != nil {
		return nil, "", fmt.Errorf("open workspace: %w", err)
	}
	root, err := os.OpenRoot(absolute)
	if err != nil {
		return nil, "", fmt.Errorf("open workspace: %w", err)
	}
	return root, absolute, nil
}

func find(root *os.Root, configPath string) (string, error) {
	if configPath != "" {
		return findRequested(root, configPath)
	}
	for _, candidate := range []string{defaultPath, rootPath} {
		found, err := IsFile(root, candidate)
		if err != nil {
			return "", fmt.Errorf("find configuration: %w", err)
		}
		if found {
			return candidate, nil
		}
	}
	message := fmt.Sprintf("in %s: looked for %s and %s", root.Name(), defaultPath, rootPath)
	others, err := list(root)
	if err != nil {
		return "", err
	}
	if len(others) > 0 {
		return "", fmt.Errorf(
			"%w %s; to use one of %s, name it as the configuration", ErrNotFound, message, strings.Join(others, ", "),
		)
	}
	return "", fmt.Errorf("%w %s (%s is used on request)", ErrNotFound, message, nestedPathShown)
}

func findRequested(root *os.Root, configPath string) (string, error) {
	relative, err := InWorkspace(root.Name(), configPath)
	if err != nil {
		return "", fmt.Errorf("find configuration: %w", err)
	}
	found, err := IsFile(root, relative)
	if err != nil {
		return "", fmt.Errorf("find configuration: %w", err)
	}
	if !found {
		return "", fmt.Errorf("%w at %s in %s", ErrNotFound, relative, root.Name())
	}
	return relative, nil
}

func list(root *os.Root) ([]string, error) {
	var paths []string
	for _, candidate := range []string{defaultPath, rootPath} {
		found, err := IsFile(root, candidate)
		if err != nil {
			return nil, fmt.Errorf("list configurations: %w", err)
		}
		if found {
			paths = append(paths, candidate)
		}
	}
	nested, err := listNested(root)
	if err != nil {
		return nil, fmt.Errorf("list configurations: %w", err)
	}
	return append(paths, nested...), nil
}

func listNested(root *os.Root) ([]string, error) {
	folder, err := root.Open(folderName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }()
	if info, err := folder.Stat(); err != nil || !info.IsDir() {
		return nil, err
	}
	entries, err := folder.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxFolders {
		return nil, fmt.Errorf("%s has %d entries: at most %d are looked at", folderName, len(entries), maxFolders)
	}
	var paths []string
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		candidate := path.Join(folderName, entry.Name(), fileName)
		found, err := IsFile(root, candidate)
		if err != nil {
			return nil, err
		}
		if found {
			paths = append(paths, candidate)
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// IsFile reports whether name exists and is not a folder. It follows symbolic
// links inside of the root; one that leads out is an error.
func IsFile(root *os.Root, name string) (bool, error) {
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || isNotFolder(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return !info.IsDir(), nil
}
