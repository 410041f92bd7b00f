package files

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"imagecache.dev/internal/devcontainer"
)

// digestAll takes and digests all of a folder.
func digestAll(t *testing.T, folder string) ([]Entry, error) {
	t.Helper()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	tree := NewTree(t.Context(), root, nil, DefaultLimits)
	takeErr := tree.TakeAll()
	entries, err := tree.Finish()
	return entries, errors.Join(takeErr, err)
}

func TestAFileThatChangesWhileItIsReadIsNoticed(t *testing.T) {
	folder := t.TempDir()
	file, err := os.Create(filepath.Join(folder, "busy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(8 << 20); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := file.WriteAt([]byte("x"), 4<<20); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 100 {
		if _, err = digestAll(t, folder); err != nil {
			break
		}
	}
	close(stop)
	if writeErr := errors.Join(<-stopped, file.Close()); writeErr != nil {
		t.Fatal(writeErr)
	}
	if !errors.Is(err, devcontainer.ErrChanged) {
		t.Errorf("digest: %v, want that the file changed", err)
	}
}

func TestMemoryDoesNotDependOnTheFilesSize(t *testing.T) {
	folder := t.TempDir()
	const size = 300 << 20
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "large"), nil, 0o600), os.Truncate(filepath.Join(folder, "large"), size)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	entries, err := digestAll(t, folder)
	runtime.ReadMemStats(&after)
	if err != nil || len(entries) != 1 || entries[0].SizeBytes != size {
		t.Fatalf("digest: %v, %v", entries, err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("allocated %d bytes", allocated)
	}
	digest, zeros := sha256.New(), make([]byte, 1<<20)
	for range size >> 20 {
		_, _ = digest.Write(zeros)
	}
	if [32]byte(digest.Sum(nil)) != entries[0].Sum {
		t.Error("the digest is not that of the file")
	}
}

func TestManyFoldersAreDigestedOnceEach(t *testing.T) {
	folder := t.TempDir()
	want := map[string][32]byte{}
	for _, name := range []string{"a", "a-b", "a.d/x", "b/c/d/e", "b/c/f", "b/g", "z"} {
		full := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
		want[name] = sha256.Sum256([]byte(name))
	}
	entries, err := digestAll(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][32]byte{}
	for _, entry := range entries {
		if entry.Kind != Folder {
			got[entry.Path] = entry.Sum
		}
	}
	if len(got) != len(want) || len(entries) != len(want)+4 {
		t.Errorf("%d entries, %d files", len(entries), len(got))
	}
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("%s has another digest", name)
		}
	}
}
