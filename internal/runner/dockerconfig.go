package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// dockerConfig is a Docker configuration file: those parts of it that concern credentials.
type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths,omitempty"`
	CredHelpers map[string]string          `json:"credHelpers,omitempty"`
	CredsStore  string                     `json:"credsStore,omitempty"`
	HTTPHeaders map[string]string          `json:"HttpHeaders,omitempty"`
	Proxies     json.RawMessage            `json:"proxies,omitempty"`
	// CurrentContext says which engine docker talks to, by a name below the folder contexts.
	CurrentContext string `json:"currentContext,omitempty"`
}

// contextsFolder is where docker keeps its contexts, beside the configuration file.
const contextsFolder = "contexts"

// dockerFolder is the folder of a user's Docker configuration; empty where there can be none.
func dockerFolder(environment func(string) string, home string) string {
	if folder := environment("DOCKER_CONFIG"); folder != "" || home == "" {
		return folder
	}
	return filepath.Join(home, ".docker")
}

// userConfigPaths are where a user's own registry credentials may be, the most important one last.
func userConfigPaths(environment func(string) string, home string) []string {
	var paths []string
	if folder := dockerFolder(environment, home); folder != "" {
		paths = append(paths, filepath.Join(folder, "config.json"))
	}
	switch file := environment("REGISTRY_AUTH_FILE"); {
	case file != "":
		paths = append(paths, file)
	case environment("XDG_RUNTIME_DIR") != "":
		paths = append(paths, filepath.Join(environment("XDG_RUNTIME_DIR"), "containers", "auth.json"))
	}
	return paths
}

// readDockerConfig reads a configuration file. One that is not there is empty.
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

// merge lays other over the configuration: what both have is other's.
func (c *dockerConfig) merge(other dockerConfig) {
	if c.Auths == nil {
		c.Auths = map[string]json.RawMessage{}
	}
	for registry, auth := range other.Auths {
		c.Auths[registry] = auth
		// Otherwise a helper that the user has for this registry would be asked instead.
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

// prefer lays our credentials over the user's. With a store of the user's, docker and whoever uses its library look into
// the file only for a registry whose helper is named and empty; podman knows no stores, and fails with such an entry.
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

// privateConfig writes a folder with a config.json that holds the user's own credentials and ours, for nobody else to
// read. The caller removes the folder.
func privateConfig(secret []byte, forDocker bool) (folder string, err error) {
	var ours dockerConfig
	if err := json.Unmarshal(secret, &ours); err != nil {
		return "", errors.New("read pull credentials: the Secret holds no Docker configuration")
	}
	home, _ := os.UserHomeDir()
	var config dockerConfig
	for _, path := range userConfigPaths(os.Getenv, home) {
		users, err := readDockerConfig(path)
		if err != nil {
			return "", err
		}
		config.merge(users)
	}
	config.prefer(ours, forDocker)
	content, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write registry credentials: %w", err)
	}
	if folder, err = os.MkdirTemp("", "imagecache-credentials-"); err != nil { // mode 0700
		return "", fmt.Errorf("write registry credentials: %w", err)
	}
	err = os.WriteFile(filepath.Join(folder, "config.json"), content, 0o600)
	if err == nil {
		err = linkContexts(dockerFolder(os.Getenv, home), folder)
	}
	if err != nil {
		_ = os.RemoveAll(folder)
		return "", fmt.Errorf("write registry credentials: %w", err)
	}
	return folder, nil
}

// linkContexts lets docker find the user's contexts, so that it talks to the same engine as without us.
func linkContexts(users, private string) error {
	if users == "" {
		return nil
	}
	contexts, err := filepath.Abs(filepath.Join(users, contextsFolder))
	if err != nil {
		return err
	}
	if _, err := os.Stat(contexts); err != nil {
		return nil //nolint:nilerr // a user without contexts
	}
	return os.Symlink(contexts, filepath.Join(private, contextsFolder))
}
