package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// coveredFolders are where dockerd and containerd write outside of their own folders, and what they write there:
// sockets of shims and plugins, and containerd's folder of additional programs. No setting of dockerd changes that.
var coveredFolders = map[string][]string{
	"/run": {"docker", "docker.sock", "containerd"},
	"/opt": {"containerd"},
}

// originalOf is where a covered folder of the machine is found.
func originalOf(dir, folder string) string { return filepath.Join(dir, "machine", folder) }

// cover replaces these folders, in this process's mount namespace, by temporary ones with links to all else that the
// machine's have. The machine's own stay below dir.
func cover(dir string) error {
	for folder, hidden := range coveredFolders {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cover %s: %w", folder, err)
		}
		original := originalOf(dir, folder)
		if err := os.MkdirAll(original, 0o700); err != nil {
			return fmt.Errorf("cover %s: %w", folder, err)
		}
		if err := unix.Mount(folder, original, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", folder, original, err)
		}
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount a temporary %s: %w", folder, err)
		}
		for _, entry := range entries {
			if slices.Contains(hidden, entry.Name()) {
				continue
			}
			if err := os.Symlink(filepath.Join(original, entry.Name()), filepath.Join(folder, entry.Name())); err != nil {
				return fmt.Errorf("cover %s: %w", folder, err)
			}
		}
	}
	return nil
}

// uncover removes the places where the machine's own folders were, and fails while one is still mounted: then nothing
// may be removed below dir.
func uncover(dir string) error {
	for folder := range coveredFolders {
		if err := os.Remove(originalOf(dir, folder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("leave %s: %w", folder, err)
		}
	}
	return nil
}
