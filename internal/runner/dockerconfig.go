package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"imagecache.dev/internal/tempfolder"
)

// dockerConfig is the part of a Docker configuration file that concerns credentials.
type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths,omitempty"`
	CredHelpers map[string]string          `json:"credHelpers,omitempty"`
	CredsStore  string                     `json:"credsStore,omitempty"`
	HTTPHeaders map[string]string          `json:"HttpHeaders,omitempty"`
	Proxies     json.RawMessage            `json:"proxies,omitempty"`
	// CurrentContext names the engine that docker talks to: a name below the folder contexts.
	CurrentContext string `json:"currentContext,omitempty"`
}

// configFile is the name of docker's configuration file.
const configFile = "config.json"

// dockerFolder returns the folder of a user's Docker configuration, or "" if there can be none.
func dockerFolder(environment func(string) string, home string) string {
	if folder := environment("DOCKER_CONFIG"); folder != "" || home == "" {
		return folder
	}
	return filepath.Join(home, ".docker")
}

// userConfigPaths returns the files that may hold a user's own registry credentials, the most important one last.
func userConfigPaths(environment func(string) string, home string) []string {
	var paths []string
	if folder := dockerFolder(environment, home); folder != "" {
		paths = append(paths, filepath.Join(folder, configFile))
	}
	switch file := environment("REGISTRY_AUTH_FILE"); {
	case file != "":
		paths = append(paths, file)
	case environment("XDG_RUNTIME_DIR") != "":
		paths = append(paths, filepath.Join(environment("XDG_RUNTIME_DIR"), "containers", "auth.json"))
	}
	return paths
}

// readDockerConfig reads a configuration file. A file that does not exist counts as empty.
func readDockerConfig(path string) (dockerConfig, error) {
	var config dockerConfig
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return config, nil
	}
	if err != nil {
		return config, fmt.Errorf("read registry credentials: %w", err)
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return config, fmt.Errorf("read registry credentials: %s: %w", path, err)
	}
	return config, nil
}

// merge adds other to the configuration. If both have an entry, other's entry wins.
func (c *dockerConfig) merge(other dockerConfig) {
	if c.Auths == nil {
		c.Auths = map[string]json.RawMessage{}
	}
	for registry, auth := range other.Auths {
		c.Auths[registry] = auth
		// Otherwise docker would ask the user's own helper for this registry.
		delete(c.CredHelpers, registry)
	}
	for registry, helper := range other.CredHelpers {
		if c.CredHelpers == nil {
			c.CredHelpers = map[string]string{}
		}
		c.CredHelpers[registry] = helper
	}
	if other.CredsStore != "" {
		c.CredsStore = other.CredsStore
	}
	if other.HTTPHeaders != nil {
		c.HTTPHeaders = other.HTTPHeaders
	}
	if other.Proxies != nil {
		c.Proxies = other.Proxies
	}
	if other.CurrentContext != "" {
		c.CurrentContext = other.CurrentContext
	}
}

// prefer adds our credentials with priority over the user's. If the user has a credential store, docker and programs
// that use its library read the file only for a registry whose helper is named and empty. podman knows no stores, and
// fails with such an entry.
func (c *dockerConfig) prefer(ours dockerConfig, forDocker bool) {
	c.merge(dockerConfig{Auths: ours.Auths})
	if !forDocker || c.CredsStore == "" {
		return
	}
	if c.CredHelpers == nil {
		c.CredHelpers = map[string]string{}
	}
	for registry := range ours.Auths {
		c.CredHelpers[registry] = ""
	}
}

// privateConfig writes a config.json with the user's own credentials and ours into a new folder that only this user
// can read. The caller removes the folder.
func privateConfig(secret []byte, forDocker bool) (*tempfolder.Folder, error) {
	var ours dockerConfig
	if err := json.Unmarshal(secret, &ours); err != nil {
		return nil, errors.New("read pull credentials: the Secret does not contain a valid Docker configuration")
	}
	home, _ := os.UserHomeDir()
	var config dockerConfig
	for _, path := range userConfigPaths(os.Getenv, home) {
		users, err := readDockerConfig(path)
		if err != nil {
			return nil, err
		}
		config.merge(users)
	}
	config.prefer(ours, forDocker)
	users := dockerFolder(os.Getenv, home)
	content, err := config.encode(users)
	if err != nil {
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	folder, err := tempfolder.New(tempfolder.Credentials)
	if err != nil {
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	err = os.WriteFile(filepath.Join(folder.Path, configFile), content, 0o600)
	if err == nil {
		err = linkOthers(users, folder.Path)
	}
	if err != nil {
		_ = folder.Remove()
		return nil, fmt.Errorf("write registry credentials: %w", err)
	}
	return folder, nil
}

// encode returns the configuration as a file, with the settings of the user's own file in the folder users that do not
// concern credentials: cliPluginsExtraDirs, features, aliases and what later versions of docker know.
func (c *dockerConfig) encode(users string) ([]byte, error) {
	settings := map[string]json.RawMessage{}
	if users != "" {
		// What can't be read was reported, or left out, before.
		if content, err := os.ReadFile(filepath.Join(users, configFile)); err == nil {
			_ = json.Unmarshal(content, &settings)
		}
	}
	for _, name := range []string{"auths", "credHelpers", "credsStore"} {
		delete(settings, name)
	}
	content, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &settings); err != nil {
		return nil, err
	}
	return json.Marshal(settings)
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
		if entry.Name() == configFile {
			continue
		}
		if err := os.Symlink(filepath.Join(users, entry.Name()), filepath.Join(private, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
