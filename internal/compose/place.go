package compose

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"imagecache.dev/internal/devcontainer"
)

// places are the files that Docker Compose is called with, relative to the workspace.
type places struct {
	files []string
	// env is the file with the project's variables, which need not exist; "" for none.
	env string
	// namedEnv is env where the reference CLI names it, and Docker Compose would take no or another file; else "".
	namedEnv string
}

// Names in Docker Compose's environment that have an effect without standing in a file, and the files it looks for:
// https://docs.docker.com/compose/how-tos/environment-variables/envvars/
const (
	composeFileVariable    = "COMPOSE_FILE"
	composeProfiles        = "COMPOSE_PROFILES"
	composeProjectName     = "COMPOSE_PROJECT_NAME"
	composeEnvFiles        = "COMPOSE_ENV_FILES"
	composeDisableEnvFile  = "COMPOSE_DISABLE_ENV_FILE"
	defaultPlatform        = "DOCKER_DEFAULT_PLATFORM"
	envFile                = ".env"
	defaultComposeFile     = "docker-compose.yml"
	defaultComposeOverride = "docker-compose.override.yml"
)

// composeFileLine is how the reference CLI reads COMPOSE_FILE in an .env file.
var composeFileLine = regexp.MustCompile(`(?m)^COMPOSE_FILE=(.+)$`)

// placesOf finds the Compose files as the reference CLI does: those that the configuration names, from its own folder;
// else those of COMPOSE_FILE, and then the default ones, from the workspace.
func placesOf(root *os.Root, c *devcontainer.Configuration, lookupEnv lookup) (*places, error) {
	if value, found := lookupEnv(composeEnvFiles); found && value != "" {
		return nil, fmt.Errorf("%s is set on this machine, and names files that no key covers; unset it", composeEnvFiles)
	}
	p := &places{}
	folder, written := path.Dir(c.Path), c.ComposeFiles
	if len(written) == 0 {
		var err error
		if folder, written, err = defaultFiles(root, lookupEnv); err != nil {
			return nil, err
		}
	}
	for _, name := range written {
		file, err := inWorkspace(c.Workspace, folder, name)
		if err != nil {
			return nil, fmt.Errorf("read Compose file: %s, named by %s, is %w", name, c.Path, err)
		}
		p.files = append(p.files, file)
	}
	p.env = path.Join(path.Dir(p.files[0]), envFile)
	if disabled, _ := lookupEnv(composeDisableEnvFile); isTrue(disabled) {
		p.env = ""
	}
	if c.ComposeFiles != nil && len(c.ComposeFiles) == 0 {
		found, err := isFile(root, envFile)
		if err != nil {
			return nil, err
		}
		if found && p.env != envFile {
			p.env, p.namedEnv = envFile, envFile
		}
	}
	return p, nil
}

func defaultFiles(root *os.Root, lookupEnv lookup) (folder string, written []string, err error) {
	named, _ := lookupEnv(composeFileVariable)
	if named == "" {
		contents, err := workspaceEnv(root)
		if err != nil {
			return "", nil, err
		}
		if match := composeFileLine.FindSubmatch(contents); match != nil {
			named = strings.TrimSpace(string(match[1]))
		}
	}
	if named != "" {
		return ".", strings.Split(named, string(filepath.ListSeparator)), nil
	}
	written = []string{defaultComposeFile}
	found, err := isFile(root, defaultComposeOverride)
	if err != nil {
		return "", nil, err
	}
	if found {
		written = append(written, defaultComposeOverride)
	}
	return ".", written, nil
}

// inWorkspace makes a path relative to the workspace, or is devcontainer.ErrOutside.
func inWorkspace(workspace, folder, name string) (string, error) {
	relative := path.Join(folder, name)
	if path.IsAbs(name) {
		var err error
		if relative, err = filepath.Rel(workspace, name); err != nil {
			return "", devcontainer.ErrOutside
		}
	}
	if relative = path.Clean(relative); devcontainer.Outside(relative) {
		return "", devcontainer.ErrOutside
	}
	return relative, nil
}

// isFile reports whether Docker Compose finds a file that need not exist. It follows links out of the workspace, so one
// is an error, and not a file that is not there.
func isFile(root *os.Root, name string) (bool, error) {
	found, err := devcontainer.IsFile(root, name)
	if err != nil {
		return false, fmt.Errorf("read Compose files: %w; copy %s into the workspace", err, name)
	}
	return found, nil
}

// workspaceEnv reads the .env file of the workspace, which the reference CLI reads by itself; nil where there is none.
func workspaceEnv(root *os.Root) ([]byte, error) {
	found, err := isFile(root, envFile)
	if !found || err != nil {
		return nil, err
	}
	contents, err := devcontainer.ReadFile(root, envFile, devcontainer.MaxConfigurationBytes)
	if err != nil {
		return nil, fmt.Errorf("read Compose files: %w", err)
	}
	return contents, nil
}

// isTrue reads a boolean as strconv.ParseBool, and takes anything else for false.
func isTrue(text string) bool {
	switch text {
	case "1", "t", "T", "true", "TRUE", "True":
		return true
	}
	return false
}
