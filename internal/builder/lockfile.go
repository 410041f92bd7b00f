package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"imagecache.dev/internal/devcontainer"
)

// keptLockfile is the Features' lockfile as it was before a build, which may
// write it anew. A build uses a lockfile that is there, and makes none.
type keptLockfile struct {
	root     *os.Root
	path     string
	contents []byte
	mode     fs.FileMode
	found    bool
}

func keepLockfile(configuration *devcontainer.Configuration) (*keptLockfile, error) {
	root, err := os.OpenRoot(configuration.Workspace)
	if err != nil {
		return nil, fmt.Errorf("read lockfile: %w", err)
	}
	kept := &keptLockfile{root: root, path: filepath.FromSlash(configuration.Lockfile)}
	kept.contents, err = devcontainer.ReadFile(root, kept.path, devcontainer.MaxConfigurationBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	_, statErr := os.Stat(filepath.Join(configuration.Workspace, kept.path))
	kept.found = statErr == nil
	if err != nil {
		return kept, nil //nolint:nilerr // the reference CLI says what is wrong with it, if it needs it
	}
	if info, err := root.Stat(kept.path); err == nil {
		kept.mode = info.Mode().Perm()
	}
	return kept, nil
}

// restore writes the file as it was, where it was changed.
func (k *keptLockfile) restore() {
	defer func() { _ = k.root.Close() }()
	if !k.found || k.contents == nil {
		return
	}
	now, err := devcontainer.ReadFile(k.root, k.path, devcontainer.MaxConfigurationBytes)
	if err == nil && bytes.Equal(now, k.contents) {
		return
	}
	_ = k.root.WriteFile(k.path, k.contents, k.mode)
}
