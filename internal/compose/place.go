package compose

import (
	"errors"
	"fmt"
	"io/fs"
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
}

// Variables of the machine with which Docker Compose finds its files:
// https://docs.docker.com/compose/how-tos/environment-variables/envvars/
const (
	composeFileVariable    = "COMPOSE_FILE"
	composeProfiles        = "COMPOSE_PROFILES"
	composeProjectName     = "COMPOSE_PROJECT_NAME"
	composeEnvFiles        = "COMPOSE_ENV_FILES"
	composeDisableEnvFile  = "COMPOSE_DISABLE_ENV_FILE"
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
	if c.ComposeFiles != nil && len(c.ComposeFiles) == 0 && isFile(root, envFile) {
		p.env = envFile // the reference CLI names it then
	}
	return p, nil
}

func defaultFiles(root *os.Root, lookupEnv lookup) (folder string, written []string, err error) {
	named, _ := lookupEnv(composeFileVariable)
	if named == "" {
		contents, err := devcontainer.ReadFile(root, envFile, devcontainer.MaxConfigurationBytes)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, devcontainer.ErrNotRegular) {
			return "", nil, fmt.Errorf("read %s: %w", envFile, err)
		}
		if match := composeFileLine.FindSubmatch(contents); match != nil {
			named = strings.TrimSpace(string(match[1]))
		}
	}
	if named != "" {
		return ".", strings.Split(named, string(filepath.ListSeparator)), nil
	}
	written = []string{defaultComposeFile}
	if isFile(root, defaultComposeOverride) {
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

func isFile(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && !info.IsDir()
}

// isTrue reads a boolean as strconv.ParseBool, and takes anything else for false.
func isTrue(text string) bool {
	switch text {
	case "1", "t", "T", "true", "TRUE", "True":
		return true
	}
	return false
}
