// Package statefolder names the places in which this user's imagecache keeps what outlives a command.
package statefolder

import (
	"fmt"
	"os"
	"path/filepath"
)

// Path returns a folder or a file below XDG_STATE_HOME, or below ~/.local/state:
// https://specifications.freedesktop.org/basedir-spec/latest/. It need not exist.
func Path(name string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification wants a relative one to be ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find state folder: %w; set HOME or XDG_STATE_HOME", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "imagecache", name), nil
}
