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

// lockStore takes the lock of an image store for a build with Features.
func lockStore(ctx context.Context, store string, logs io.Writer) (unlock func(), err error) {
	return lock(ctx, store, "with Features", logs)
}

// lockName takes the lock of an image's name in an image store. A build reads the ID of its image by the name.
func lockName(ctx context.Context, store, name string, logs io.Writer) (unlock func(), err error) {
	return lock(ctx, store+" "+name, "of "+name, logs)
}

// lock takes a lock among all processes of this user on this machine, and blocks until it has it or ctx ends. builds
// names those that hold it.
func lock(ctx context.Context, of, builds string, logs io.Writer) (unlock func(), err error) {
	folder, err := lockFolder()
	if err != nil {
		return nil, fmt.Errorf("lock image store: %w", err)
	}
	path := filepath.Join(folder, fmt.Sprintf("%x.lock", sha256.Sum256([]byte(of))))
	unlock, err = filelock.Lock(ctx, path, filelock.Exclusive, func() {
		if logs != nil {
			_, _ = fmt.Fprintf(logs, "Waiting for another build %s in the same image store\n", builds)
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
