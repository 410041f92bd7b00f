// Package tempfolder makes folders for the temporary files of one run, and removes those of runs that were killed.
//
// A folder belongs to a living run as long as that run's process holds the folder's lock (flock(2)), which falls with
// the process however it ends. A process ID would not do: containers that share a folder each count their own.
package tempfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"imagecache.dev/internal/filelock"
)

// Kind is what a folder holds. It is a part of the folder's name: imagecache-KIND-RANDOM.
type Kind string

// The kinds of folders.
const (
	Build       Kind = "build"       // files of the reference CLI
	Commit      Kind = "commit"      // a workspace as a commit has it
	Compose     Kind = "compose"     // the Compose files of a workspace
	Override    Kind = "override"    // a configuration for the reference CLI
	Credentials Kind = "credentials" // a Docker configuration
	Client      Kind = "client"      // an engine's client for the reference CLI
	Transfer    Kind = "transfer"    // files of podman while it takes or gives an image, as large as its layers
	Layers      Kind = "layers"      // the layers of a built image
)

var kinds = []Kind{Build, Commit, Compose, Override, Credentials, Client, Transfer, Layers}

func (k Kind) prefix() string { return "imagecache-" + string(k) + "-" }

// Folder is a folder that nobody else may read. It is in use until Remove is called.
type Folder struct {
	Path string
	lock *os.File // nil where the file system knows no locks; RemoveAbandoned then can't take it either
}

// Large is where programs put temporary files that may be large, on most machines:
// https://refspecs.linuxfoundation.org/FHS_3.0/fhs/ch05s15.html
const Large = "/var/tmp"

// New makes a folder below os.TempDir. The caller removes it.
func New(kind Kind) (*Folder, error) { return NewIn(os.TempDir(), kind) }

// NewIn makes a folder below parent. The caller removes it. Where parent is neither os.TempDir nor Large, NewIn removes
// the abandoned ones there, as RemoveAbandoned does in these two.
func NewIn(parent string, kind Kind) (*Folder, error) {
	if !slices.Contains(parents(), parent) {
		removeAbandonedIn(parent)
	}
	for {
		path, err := os.MkdirTemp(parent, kind.prefix()) // mode 0700
		if err != nil {
			return nil, fmt.Errorf("make temporary folder: %w", err)
		}
		if lock, err := lockFolder(path); lock != nil || err != nil {
			return &Folder{Path: path, lock: lock}, nil //nolint:nilerr // see Folder.lock
		}
		// Between the two calls a run that cleaned up took the folder for an abandoned one.
	}
}

// Remove removes the folder and all that is in it. Removing it again, or a nil folder, is no error.
func (f *Folder) Remove() error {
	if f == nil {
		return nil
	}
	err := os.RemoveAll(f.Path)
	_ = f.lock.Close() // an error says that it was closed before
	if err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	return nil
}

// RemoveAbandoned removes this user's folders of runs that have ended, and never one of a run that goes on. What can't
// be removed stays: the next run tries again.
func RemoveAbandoned() {
	for _, parent := range parents() {
		removeAbandonedIn(parent)
	}
}

// parents are the folders that RemoveAbandoned looks into.
func parents() []string { return slices.Compact([]string{os.TempDir(), Large}) }

func removeAbandonedIn(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.IsDir() && isOurs(entry) {
			removeAbandoned(filepath.Join(parent, entry.Name()))
		}
	}
}

// isOurs reports whether an entry has a name that New gives, and belongs to this user.
func isOurs(entry fs.DirEntry) bool {
	for _, kind := range kinds {
		if !strings.HasPrefix(entry.Name(), kind.prefix()) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return false
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		return ok && int(owner.Uid) == os.Getuid()
	}
	return false
}

func removeAbandoned(path string) {
	lock, err := lockFolder(path)
	if err != nil || lock == nil {
		return
	}
	_ = os.RemoveAll(path)
	_ = lock.Close()
}

// lockFolder takes a folder's lock without waiting. It returns nil where another process has the lock, or where the
// folder was removed before the lock was taken.
func lockFolder(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, err
	}
	taken, err := filelock.Try(file, filelock.Exclusive)
	if taken && isAt(file, path) {
		return file, nil
	}
	_ = file.Close()
	return nil, err
}

// isAt reports whether an open folder is still the one at a path.
func isAt(file *os.File, path string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(open, now)
}
