package environment

import (
	"fmt"
	"os"
	"path/filepath"

	"imagecache.dev/internal/devcontainer"
)

// Labels by which the reference CLI finds the container of a workspace:
// https://containers.dev/implementors/spec/#labels
const (
	folderLabel = "devcontainer.local_folder"
	configLabel = "devcontainer.config_file"
)

// location is where a workspace is, in the words of the reference CLI.
type location struct {
	// workspace is the absolute path of the folder.
	workspace string
	// config is the absolute path of a requested configuration, or "".
	config string
}

// locate returns a workspace's location as the reference CLI has it: paths are relative to the current folder without
// symbolic links, and their own links stay.
func locate(workspace, configPath string) (location, error) {
	absolute := filepath.Clean(workspace)
	if !filepath.IsAbs(absolute) {
		current, err := os.Getwd()
		if err == nil {
			current, err = filepath.EvalSymlinks(current)
		}
		if err != nil {
			return location{}, fmt.Errorf("find workspace: %w", err)
		}
		absolute = filepath.Join(current, absolute)
	}
	at := location{workspace: absolute}
	switch {
	case configPath == "":
	case filepath.IsAbs(configPath):
		at.config = filepath.Clean(configPath)
	default:
		at.config = filepath.Join(absolute, configPath)
	}
	return at, nil
}

// labels returns the labels of the workspace's container.
func (l location) labels() ([]string, error) {
	config := l.config
	if config == "" {
		found, err := devcontainer.Locate(l.workspace, "")
		if err != nil {
			return nil, err
		}
		config = filepath.Join(l.workspace, filepath.FromSlash(found.Path))
	}
	return []string{folderLabel + "=" + l.workspace, configLabel + "=" + config}, nil
}
