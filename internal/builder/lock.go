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

	"imagecache.dev/internal/filelock"
)

// lock takes the lock of one image store, among all processes of this user on
// this machine, and blocks until it has it or ctx ends.
func lock(ctx context.Context, store string, logs io.Writer) (unlock func(), err error) {
	folder, err := lockFolder()
	if err != nil {
		return nil, fmt.Errorf("lock image store: %w", err)
	}
	path := filepath.Join(folder, fmt.Sprintf("%x.lock", sha256.Sum256([]byte(store))))
	unlock, err = filelock.Lock(ctx, path, filelock.Exclusive, func() {
		if logs != nil {
			_, _ = fmt.Fprintln(logs, "Waiting for another build with Features in the same image store")
		}
	})
	if err != nil {
		return nil, fmt.Errorf("lock image store: %w", err)
	}
	return unlock, nil
}

// lockParent is where all processes find the same locks, whatever TMPDIR each has.
const lockParent = "/tmp"

// lockFolder returns a folder that belongs to this user alone, so that nobody
// else can hold or replace a lock in it.
func lockFolder() (string, error) {
	folder := filepath.Join(lockParent, fmt.Sprintf("imagecache-locks-%d", os.Getuid()))
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s is not a folder that only this user can write to", folder)
	}
	return folder, nil
}
