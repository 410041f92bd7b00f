package dockerconfig

import (
	"os"
	"path/filepath"
)

// CurrentContext returns the name of the engine that the user's own configuration names, or "". docker itself reports a
// file that can't be read.
func CurrentContext() string {
	home, _ := os.UserHomeDir()
	folder := folderOf(os.Getenv, home)
	if folder == "" {
		return ""
	}
	config, _ := read(filepath.Join(folder, fileName))
	return config.CurrentContext
}

// folderOf returns the folder of a user's Docker configuration, or "" if there can be none.
func folderOf(environment func(string) string, home string) string {
	if folder := environment("DOCKER_CONFIG"); folder != "" || home == "" {
		return folder
	}
	return filepath.Join(home, ".docker")
}

// credentialFiles returns the files that may hold a user's own registry credentials, the most important one last.
func credentialFiles(environment func(string) string, home string) []string {
	var paths []string
	if folder := folderOf(environment, home); folder != "" {
		paths = append(paths, filepath.Join(folder, fileName))
	}
	switch file := environment("REGISTRY_AUTH_FILE"); {
	case file != "":
		paths = append(paths, file)
	case environment("XDG_RUNTIME_DIR") != "":
		paths = append(paths, filepath.Join(environment("XDG_RUNTIME_DIR"), "containers", "auth.json"))
	}
	return paths
}
