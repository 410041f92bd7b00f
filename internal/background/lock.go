package background

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// A process holds the lock (flock(2)) of its record. It falls with the process, however that ends.

// isHeld reports whether a process holds a record's lock.
func (f Folder) isHeld(name string) bool {
	file, err := os.Open(f.file(name, lockSuffix))
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	return errors.Is(flock(file, syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// awaitLock returns when no process holds a record's lock.
func (f Folder) awaitLock(name string) error {
	file, err := os.Open(f.file(name, lockSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for publication: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := flock(file, syscall.LOCK_SH); err != nil {
		return fmt.Errorf("wait for publication: %w", err)
	}
	return nil
}

// hold makes a record's lock file and takes its lock. The error is fs.ErrExist if a record has the name.
func (f Folder) hold(name string) (*os.File, error) {
	file, err := os.OpenFile(f.file(name, lockSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return file, nil
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
