package builder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"golang.org/x/sys/unix"
)

// buildxVariable names the folder of buildx's state:
// https://docs.docker.com/build/building/variables/#buildx_config
const buildxVariable = "BUILDX_CONFIG"

// buildxState returns a variable that leads buildx to a copy of its state in folder, where it can't write its own, as
// in a read-only home. It returns nothing where buildx can, or where the state can't be copied: buildx then reports
// why.
func buildxState(folder string) []string {
	state := os.Getenv(buildxVariable)
	if state == "" {
		state = filepath.Join(config.Dir(), "buildx")
	}
	if writable(state) {
		return nil
	}
	own := filepath.Join(folder, "buildx")
	if err := os.CopyFS(own, os.DirFS(state)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return []string{buildxVariable + "=" + own}
}

// writable reports whether this process may write to a folder, or make it.
func writable(folder string) bool {
	err := unix.Access(folder, unix.W_OK)
	if errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
		return writable(filepath.Dir(folder))
	}
	return err == nil
}
