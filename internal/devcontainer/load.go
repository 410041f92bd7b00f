package devcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Source says where a configuration is read from.
type Source struct {
	// Workspace is a folder.
	Workspace string
	// ConfigPath as for Find.
	ConfigPath string
	// LookupEnv answers ${localEnv:…}; os.LookupEnv where nil.
	LookupEnv func(name string) (value string, found bool)
}

// Load finds, reads and resolves the configuration of a workspace, with the
// variables of this process's environment.
func Load(workspace, configPath string) (*Configuration, error) {
	return Source{Workspace: workspace, ConfigPath: configPath}.Load()
}

// Load finds, reads and resolves a configuration.
func (s Source) Load() (*Configuration, error) {
	root, workspace, err := openWorkspace(s.Workspace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	configPath, err := find(root, s.ConfigPath)
	if err != nil {
		return nil, err
	}
	raw, err := ReadFile(root, configPath, MaxConfigurationBytes)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	lookupEnv := s.LookupEnv
	if lookupEnv == nil {
		lookupEnv = os.LookupEnv
	}
	configuration, err := read(configPath, raw, variables{workspace: workspace, lookupEnv: lookupEnv})
	if err != nil {
		return nil, err
	}
	configuration.Workspace = workspace
	if configuration.Type == TypeDockerfile {
		err = configuration.loadDockerfile(root)
	}
	return configuration, err
}

// Locate finds a configuration without reading it: the result has Workspace,
// Path and Lockfile alone, and Type is TypeUnknown. It serves where Load fails
// and the reference CLI may not. Unlike Find it also finds a configuration that
// a link or configPath leads out of the workspace to, and opens nothing.
func Locate(workspace, configPath string) (*Configuration, error) {
	absolute, err := filepath.Abs(workspace)
	if err != nil {
		return nil, fmt.Errorf("find configuration: %w", err)
	}
	candidates := []string{defaultPath, rootPath}
	if configPath != "" {
		candidates = []string{resolve(absolute, ".", configPath)}
	}
	for _, candidate := range candidates {
		info, err := os.Stat(filepath.Join(absolute, filepath.FromSlash(candidate)))
		if err == nil && !info.IsDir() {
			return &Configuration{Workspace: absolute, Path: candidate, Lockfile: lockfileOf(candidate)}, nil
		}
	}
	return nil, fmt.Errorf("%w in %s", ErrNotFound, absolute)
}

// Parse reads the contents of a devcontainer.json that has no workspace.
// Nothing is looked up: paths stay as written, Variables of the environment
// have their defaults.
func Parse(devcontainerJSON []byte) (*Configuration, error) {
	if len(devcontainerJSON) > MaxConfigurationBytes {
		return nil, fmt.Errorf("read configuration: %w", tooLarge(fileName, MaxConfigurationBytes))
	}
	nothing := func(string) (string, bool) { return "", false }
	return read(defaultPath, devcontainerJSON, variables{lookupEnv: nothing})
}

// loadDockerfile resolves the paths of a Dockerfile configuration and reads
// the Dockerfile: https://containers.dev/implementors/json_reference/#image-specific
func (c *Configuration) loadDockerfile(root *os.Root) error {
	folder := path.Dir(c.Path)
	written := c.Dockerfile
	c.Dockerfile = resolve(c.Workspace, folder, written)
	if c.Context == "" {
		c.Context = path.Dir(c.Dockerfile)
	} else {
		c.Context = resolve(c.Workspace, folder, c.Context)
	}
	if Outside(c.Dockerfile) {
		return fmt.Errorf("read Dockerfile: %s, named by %s, is %w", written, c.Path, ErrOutside)
	}
	var err error
	c.DockerfileRaw, err = ReadFile(root, c.Dockerfile, MaxDockerfileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read Dockerfile: %s, named by %s, is not there: %w", c.Dockerfile, c.Path, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("read Dockerfile: %w", err)
	}
	return nil
}

func lockfileOf(configPath string) string {
	name := "devcontainer-lock.json"
	if strings.HasPrefix(path.Base(configPath), ".") {
		name = "." + name
	}
	return path.Join(path.Dir(configPath), name)
}
