package dockerconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imagecache.dev/internal/tempfolder"
)

// Private writes a config.json with the user's own credentials and ours into a new folder that only this user can read.
// The secret is a Docker configuration with ours, which win. forDocker is false for podman. The caller removes the
// folder.
func Private(secret []byte, forDocker bool) (*tempfolder.Folder, error) {
	var ours file
	if err := json.Unmarshal(secret, &ours); err != nil {
		// The error's text could quote the password.
		return nil, errors.New("read pull credentials: the Secret does not contain a valid Docker configuration")
	}
	home, _ := os.UserHomeDir()
	var config file
	for _, path := range credentialFiles(os.Getenv, home) {
		users, err := read(path)
		if err != nil {
			return nil, err
		}
		config.merge(users)
	}
	config.prefer(ours, forDocker)
	users := folderOf(os.Getenv, home)
	content, err := config.encode(users)
	if err != nil {
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	folder, err := tempfolder.New(tempfolder.Credentials)
	if err != nil {
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	err = os.WriteFile(filepath.Join(folder.Path, fileName), content, 0o600)
	if err == nil {
		err = linkOthers(users, folder.Path)
	}
	if err != nil {
		_ = folder.Remove()
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	return folder, nil
}

// Environment returns the variables that point docker, podman and the reference CLI to the configuration in a folder,
// as "NAME=value": https://docs.docker.com/reference/cli/docker/#environment-variables,
// https://docs.podman.io/en/latest/markdown/podman-login.1.html#authfile-path. It returns none for "".
func Environment(folder string) []string {
	if folder == "" {
		return nil
	}
	return []string{"DOCKER_CONFIG=" + folder, "REGISTRY_AUTH_FILE=" + filepath.Join(folder, fileName)}
}

// linkOthers lets docker find everything else in the user's folder, so that it talks to the same engine with the same
// programs as without us: contexts, the certificates of a daemon behind TLS (ca.pem, cert.pem, key.pem), plugins
// (cli-plugins) and the instances of buildx.
func linkOthers(users, private string) error {
	if users == "" {
		return nil
	}
	users, err := filepath.Abs(users)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(users)
	if err != nil {
		return nil //nolint:nilerr // a user without such a folder
	}
	for _, entry := range entries {
		if entry.Name() == fileName {
			continue
		}
		if err := os.Symlink(filepath.Join(users, entry.Name()), filepath.Join(private, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
