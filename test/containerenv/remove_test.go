package containerenv_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imagecache.dev/test/containerenv"
)

// podman cleans up after a container that ended while its store is already being removed.
func TestRemoveWaitsForTheLastWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "environment")
	folder := filepath.Join(dir, "layers")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
			for i := range 100 {
				_ = os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), nil, 0o600) // fails once the folder is gone
			}
		}
	}()
	if err := containerenv.Remove(dir); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder stays: %v", err)
	}
}
