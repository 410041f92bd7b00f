package imagelayout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"imagecache.dev/internal/imagelayout"
)

// putterVariable makes this test program one that puts images into the folder that it names.
const putterVariable = "IMAGECACHE_TEST_PUTTER"

// putsEach is how many images each process puts.
const putsEach = 60

func TestMain(m *testing.M) {
	if folder := os.Getenv(putterVariable); folder != "" {
		if err := putMany(imagelayout.Store{Folder: folder}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// putMany puts images under names of this process. Each name but the last tag is removed again, so that blobs are too.
func putMany(store imagelayout.Store) error {
	for n := range putsEach {
		image, err := random.Image(100, 1)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%d/%d", os.Getpid(), n)
		ctx := context.Background()
		if err := store.Put(ctx, image, "new "+name); err != nil {
			return fmt.Errorf("put: %w", err)
		}
		if err := store.Tag(ctx, "new "+name, name); err != nil {
			return fmt.Errorf("tag: %w", err)
		}
		if err := store.Remove(ctx, "new "+name); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	return nil
}

// putter starts a process that puts images into a store.
func putter(t *testing.T, store imagelayout.Store) (wait func() error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	command := exec.CommandContext(t.Context(), program)
	command.Env = append(os.Environ(), putterVariable+"="+store.Folder)
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return func() error {
		if err := command.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	}
}

func TestProcessesThatShareAStoreLoseNoImage(t *testing.T) {
	store := newStore(t)
	const processes = 2
	ended := make(chan error, processes)
	for range processes {
		wait := putter(t, store)
		go func() { ended <- wait() }()
	}
	for running := processes; running > 0; {
		select {
		case err := <-ended:
			running--
			if err != nil {
				t.Errorf("a process failed: %v", err)
			}
		case <-time.After(time.Millisecond):
			readsWhole(t, store)
		}
	}
	found := names(t, store)
	if len(found) != processes*putsEach {
		t.Errorf("the index has %d images, want %d", len(found), processes*putsEach)
	}
	for _, name := range found {
		if err := store.View(t.Context(), name, func(image v1.Image) error { return validate.Image(image) }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// readsWhole reads the index without a lock, as other programs do.
func readsWhole(t *testing.T, store imagelayout.Store) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(store.Folder, imagelayout.IndexFile))
	if err == nil && !json.Valid(content) {
		t.Errorf("the index is not whole: %d bytes", len(content))
	}
}
