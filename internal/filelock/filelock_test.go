package filelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imagecache.dev/internal/filelock"
)

func lock(t *testing.T, path string, mode filelock.Mode) (unlock func()) {
	t.Helper()
	unlock, err := filelock.Lock(t.Context(), path, mode, nil)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

func TestAnExclusiveLockIsHeldOnce(t *testing.T) {
	for name, modes := range map[string]struct {
		held, wanted filelock.Mode
		waits        bool
	}{
		"exclusive after exclusive": {filelock.Exclusive, filelock.Exclusive, true},
		"shared after exclusive":    {filelock.Exclusive, filelock.Shared, true},
		"exclusive after shared":    {filelock.Shared, filelock.Exclusive, true},
		"shared after shared":       {filelock.Shared, filelock.Shared, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			unlock := lock(t, path, modes.held)
			waited := 0
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			again, err := filelock.Lock(ctx, path, modes.wanted, func() { waited++ })
			if !modes.waits {
				if err != nil || waited != 0 {
					t.Fatalf("error %v, waited %d times, want a lock at once", err, waited)
				}
				again()
				return
			}
			if !errors.Is(err, context.DeadlineExceeded) || waited != 1 {
				t.Errorf("error %v, waiting was called %d times, want once and the deadline", err, waited)
			}
			unlock()
			lock(t, path, modes.wanted)()
		})
	}
}

func TestAWaitingProcessTakesTheLockOnceItIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock := lock(t, path, filelock.Exclusive)
	again, err := filelock.Lock(t.Context(), path, filelock.Exclusive, unlock)
	if err != nil {
		t.Fatal(err)
	}
	again()
	again()
}

func TestALockOfAnotherFileIsFree(t *testing.T) {
	folder := t.TempDir()
	defer lock(t, filepath.Join(folder, "a"), filelock.Exclusive)()
	lock(t, filepath.Join(folder, "b"), filelock.Exclusive)()
}

func TestALinkIsNoLock(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink("elsewhere", filepath.Join(folder, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Lock(t.Context(), filepath.Join(folder, "lock"), filelock.Exclusive, nil); err == nil {
		t.Error("a link was locked: whoever made it would choose the file")
	}
	if _, err := os.Stat(filepath.Join(folder, "elsewhere")); err == nil {
		t.Error("the file behind the link was created")
	}
}
