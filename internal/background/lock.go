package background

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"imagecache.dev/internal/filelock"
)

// isHeld reports whether a process holds a record's lock.
func (f Folder) isHeld(name string) bool {
	file, err := os.Open(f.file(name, lockSuffix))
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	free, err := filelock.Try(file, filelock.Shared)
	return !free && err == nil
}

// awaitLock returns when no process holds a record's lock, or with the cause of ctx.
func (f Folder) awaitLock(ctx context.Context, name string) error {
	path := f.file(name, lockSuffix)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // its record was removed
	}
	unlock, err := filelock.Lock(ctx, path, filelock.Shared, nil)
	if err != nil {
		return fmt.Errorf("wait for publication: %w", err)
	}
	unlock()
	return nil
}

// hold makes a record's lock file and takes its lock. The error is fs.ErrExist if a record has the name.
func (f Folder) hold(name string) (*os.File, error) {
	file, err := os.OpenFile(f.file(name, lockSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if taken, err := filelock.Try(file, filelock.Exclusive); !taken {
		f.remove(name)
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return file, nil
}
