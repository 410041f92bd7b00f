package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"imagecache.dev/internal/devcontainer"
)

// workspaceVariable names the user's own workspace: make demo WORKSPACE=... sets it.
const workspaceVariable = "IMAGECACHE_DEMO_WORKSPACE"

// ownWorkspace is the user's workspace, if the demo is to take it, after a look at whether the cache applies to it.
func ownWorkspace(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	workspace, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find your workspace: %w", err)
	}
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		return "", fmt.Errorf("your workspace can't be used: %w", err)
	}
	if configuration.Type == devcontainer.TypeCompose {
		return "", errors.New("your workspace has a Docker Compose configuration, and those are not cached: try one with an image or a Dockerfile")
	}
	return workspace, nil
}

// workspaceError is that the user's workspace did not become what it should.
type workspaceError struct {
	workspace string
	code      int
	said      string // imagecache's own sentence
}

// Exit codes of imagecache prepare that come with an image.
const exitBuilt = 11

// missingImage is how imagecache's sentence says that an image can't be had.
var missingImage = regexp.MustCompile(`pull ([^\s:]\S*): `)

func (e *workspaceError) Error() string {
	if e.code == exitBuilt {
		return fmt.Sprintf("your workspace %s was built and is not shared; the line with ! above says why", e.workspace)
	}
	lines := strings.Split(e.said, "\n")
	sentence := strings.TrimPrefix(strings.TrimPrefix(lines[len(lines)-1], "imagecache: "), "build dev container: ")
	if image := missingImage.FindStringSubmatch(sentence); image != nil {
		return fmt.Sprintf("your workspace %s can't be built here, because the image %s can't be pulled: look at this machine's network and "+
			"registry login, then run it again; the line above has the reason", e.workspace, image[1])
	}
	return fmt.Sprintf("your workspace %s can't be built here: %s", e.workspace, sentence)
}

// registriesVariable leads podman to its settings of registries.
const registriesVariable = "CONTAINERS_REGISTRIES_CONF="

// withUsersRegistries takes our settings of registries away where the user has some: mirrors, say.
func withUsersRegistries(env []string) []string {
	home, _ := os.UserHomeDir()
	files := []string{filepath.Join(home, ".config", "containers", "registries.conf"), "/etc/containers/registries.conf"}
	if os.Getenv(strings.TrimSuffix(registriesVariable, "=")) == "" && !slices.ContainsFunc(files, hasSettings) {
		return env
	}
	return slices.DeleteFunc(env, func(variable string) bool { return strings.HasPrefix(variable, registriesVariable) })
}

// hasSettings says whether a file has more than comments.
func hasSettings(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" && !strings.HasPrefix(text, "#") {
			return true
		}
	}
	return false
}
