package dockerconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is the part of a configuration file that concerns credentials and the engine. Entries keep their form, whatever
// docker or podman wrote into them.
type file struct {
	Auths       map[string]json.RawMessage `json:"auths,omitempty"`
	CredHelpers map[string]string          `json:"credHelpers,omitempty"`
	CredsStore  string                     `json:"credsStore,omitempty"`
	HTTPHeaders map[string]string          `json:"HttpHeaders,omitempty"`
	Proxies     json.RawMessage            `json:"proxies,omitempty"`
	// CurrentContext names the engine that docker talks to: a name below the folder contexts.
	CurrentContext string `json:"currentContext,omitempty"`
}

// fileName is the name of docker's configuration file.
const fileName = "config.json"

// read reads a configuration file. A file that does not exist counts as empty.
func read(path string) (file, error) {
	var config file
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
func (f *file) merge(other file) {
	if f.Auths == nil {
		f.Auths = map[string]json.RawMessage{}
	}
	for registry, auth := range other.Auths {
		f.Auths[registry] = auth
		// Otherwise docker would ask the user's own helper for this registry.
		delete(f.CredHelpers, registry)
	}
	for registry, helper := range other.CredHelpers {
		if f.CredHelpers == nil {
			f.CredHelpers = map[string]string{}
		}
		f.CredHelpers[registry] = helper
	}
	if other.CredsStore != "" {
		f.CredsStore = other.CredsStore
	}
	if other.HTTPHeaders != nil {
		f.HTTPHeaders = other.HTTPHeaders
	}
	if other.Proxies != nil {
		f.Proxies = other.Proxies
	}
	if other.CurrentContext != "" {
		f.CurrentContext = other.CurrentContext
	}
}

// prefer adds our credentials with priority over the user's. If the user has a credential store, docker and programs
// that use its library read the file only for a registry whose helper is named and empty. podman knows no stores, and
// fails with such an entry.
func (f *file) prefer(ours file, forDocker bool) {
	f.merge(file{Auths: ours.Auths})
	if !forDocker || f.CredsStore == "" {
		return
	}
	if f.CredHelpers == nil {
		f.CredHelpers = map[string]string{}
	}
	for registry := range ours.Auths {
		f.CredHelpers[registry] = ""
	}
}

// encode returns the configuration as a file, with the settings of the user's own file in the folder users that do not
// concern credentials: cliPluginsExtraDirs, features, aliases and what later versions of docker know.
func (f *file) encode(users string) ([]byte, error) {
	settings := map[string]json.RawMessage{}
	if users != "" {
		// What can't be read was reported, or left out, before.
		if content, err := os.ReadFile(filepath.Join(users, fileName)); err == nil {
			_ = json.Unmarshal(content, &settings)
		}
	}
	for _, name := range []string{"auths", "credHelpers", "credsStore"} {
		delete(settings, name)
	}
	content, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &settings); err != nil {
		return nil, err
	}
	return json.Marshal(settings)
}
