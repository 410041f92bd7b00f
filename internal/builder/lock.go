package builder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockInterval is how often a waiting build tries again.
const lockInterval = 100 * time.Millisecond

// lock takes the lock of one image store, among all processes of this user on
// this machine, and blocks until it has it or ctx ends. The lock falls with
// the process that holds it.
func lock(ctx context.Context, store string, logs io.Writer) (unlock func(), err error) {
	file, err := openLock(store)
	if err != nil {
		return nil, fmt.Errorf("lock image store: %w", err)
	}
	said := false
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock image store: %w", err)
		}
		if !said && logs != nil {
			said = true
			_, _ = fmt.Fprintln(logs, "Waiting for another build with Features in the same image store")
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("lock image store: %w", context.Cause(ctx))
		case <-time.After(lockInterval):
		}
	}
}

// lockParent is where all processes find the same locks, whatever TMPDIR each has.
const lockParent = "/tmp"

// openLock opens the store's lock file in a folder that belongs to this user
// alone, so that nobody else can hold or replace it.
func openLock(store string) (*os.File, error) {
	folder := filepath.Join(lockParent, fmt.Sprintf("imagecache-locks-%d", os.Getuid()))
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s is not a folder that only this user can write to", folder)
	}
	name := fmt.Sprintf("%x.lock", sha256.Sum256([]byte(store)))
	return os.OpenFile(filepath.Join(folder, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
}
