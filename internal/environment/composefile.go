package environment

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imagecache.dev/internal/override"
	"imagecache.dev/internal/runner"
	"imagecache.dev/internal/statefolder"
)

// workspaceComment begins the first line of an environment's Compose file, and the workspace follows.
const workspaceComment = "# workspace "

// extraComposeFile is the path of the Compose file of this environment; "" without Docker Compose. The file outlives
// this program, because the reference CLI reads it again when the container is started again. Each configuration of a
// workspace has one. Those of workspaces that are gone are removed.
func (e *Environment) extraComposeFile(result *runner.Result) (string, error) {
	if result.Compose == nil {
		return "", nil
	}
	folder, err := statefolder.Path("compose")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make folder of Compose files: %w", err)
	}
	removeAbandoned(folder)
	of := sha256.Sum256([]byte(e.location.workspace + "\x00" + result.Configuration.Path))
	return filepath.Join(folder, fmt.Sprintf("%s-%x.yml", override.ComposeFilePrefix, of[:12])), nil
}

// withWorkspace names the workspace in a Compose file.
func (e *Environment) withWorkspace(content []byte) []byte {
	return append([]byte(workspaceComment+strconv.Quote(e.location.workspace)+"\n"), content...)
}

// writingTime is more than writing a file takes.
const writingTime = time.Hour

// removeAbandoned removes the Compose files whose workspaces don't exist, and what a write that was killed left. What
// can't be read or removed stays.
func removeAbandoned(folder string) {
	unfinished, _ := filepath.Glob(filepath.Join(folder, "."+override.ComposeFilePrefix+"-*"+unfinishedSuffix))
	for _, file := range unfinished {
		if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) > writingTime {
			_ = os.Remove(file)
		}
	}
	files, _ := filepath.Glob(filepath.Join(folder, override.ComposeFilePrefix+"-*.yml")) // the pattern is right
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(content), "\n")
		quoted, found := strings.CutPrefix(line, workspaceComment)
		workspace, err := strconv.Unquote(quoted)
		if !found || err != nil {
			continue
		}
		if _, err := os.Stat(workspace); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(file)
		}
	}
}
