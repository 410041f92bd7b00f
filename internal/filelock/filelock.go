// Package filelock keeps processes apart with locks on files (flock(2),
// https://man7.org/linux/man-pages/man2/flock.2.html). A lock falls with the process that holds it, however that
// process ends.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Mode is how a lock is held.
type Mode int

// The modes of a lock. A file has any number of shared locks, or one exclusive lock.
const (
	Shared    Mode = syscall.LOCK_SH
	Exclusive Mode = syscall.LOCK_EX
)

// interval is how often a waiting process tries again. flock(2) can wait by itself, but not until a context ends.
const interval = 20 * time.Millisecond

// Lock locks the file at a path, which it creates if necessary, and blocks until it has the lock or ctx ends. It calls
// waiting once before it waits, unless waiting is nil. The lock also keeps goroutines of one process apart. Calling
// unlock again does nothing. The file stays: a process that removed it would let two others hold its lock at once.
func Lock(ctx context.Context, path string, mode Mode, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644) //nolint:gosec // the file is empty
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	for {
		taken, err := Try(file, mode)
		switch {
		case taken:
			return func() { _ = file.Close() }, nil
		case err != nil:
			return nil, errors.Join(fmt.Errorf("lock file %s: %w", path, err), file.Close())
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(
				fmt.Errorf("lock file %s, which another process holds: %w", path, context.Cause(ctx)), file.Close(),
			)
		case <-time.After(interval):
		}
	}
}

// Try locks an open file or folder if no other process holds its lock, and never waits. Closing the file unlocks it.
// The error is errors.ErrUnsupported where the file system has no locks.
func Try(file *os.File, mode Mode) (taken bool, err error) {
	for {
		err = syscall.Flock(int(file.Fd()), int(mode)|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, syscall.ENOLCK):
			return false, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return err == nil, err
	}
}
