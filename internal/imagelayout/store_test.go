package imagelayout_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"imagecache.dev/internal/imagelayout"
)

func newStore(t *testing.T) imagelayout.Store {
	t.Helper()
	return imagelayout.Store{Folder: filepath.Join(t.TempDir(), "images")}
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func put(t *testing.T, store imagelayout.Store, image v1.Image, name string) {
	t.Helper()
	if err := store.Put(t.Context(), image, name); err != nil {
		t.Fatal(err)
	}
}

// names are the names in the index, as go-containerregistry reads it.
func names(t *testing.T, store imagelayout.Store) []string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(store.Folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, image := range manifest.Manifests {
		found = append(found, image.Annotations[imagelayout.NameAnnotation])
	}
	slices.Sort(found)
	return found
}

// holds checks that a name's image is whole and has the content wanted.
func holds(t *testing.T, store imagelayout.Store, name string, want v1.Image) {
	t.Helper()
	err := store.View(t.Context(), name, func(image v1.Image) error {
		got, err := image.Digest()
		if err != nil {
			return err
		}
		if digest, err := want.Digest(); got != digest || err != nil {
			t.Errorf("%s is %s, want %s (%v)", name, got, digest, err)
		}
		return validate.Image(image)
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// files are all files of a folder but the locks.
func files(t *testing.T, folder string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasSuffix(path, ".lock") {
			found = append(found, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAStoreKeepsImagesByName(t *testing.T) {
	store, first, second := newStore(t), randomImage(t), randomImage(t)
	put(t, store, first, "a")
	put(t, store, second, "b")
	put(t, store, second, "a") // replaces
	if err := store.Tag(t.Context(), "b", "c"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names(t, store)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, name := range names(t, store) {
		holds(t, store, name, second)
	}
	for range 2 {
		if err := store.Remove(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, store, "c", second)
	if got := len(files(t, filepath.Join(store.Folder, "blobs"))); got != 5 {
		t.Errorf("%d blobs, want the 5 of the image that has a name", got)
	}
}

func TestAnAbsentImageIsAnError(t *testing.T) {
	store := newStore(t)
	for range 2 {
		err := store.View(t.Context(), "a", func(v1.Image) error { return nil })
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("View: %v", err)
		}
		if err := store.Tag(t.Context(), "a", "b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Tag: %v", err)
		}
		if err := store.Remove(t.Context(), "a"); err != nil {
			t.Errorf("Remove: %v", err)
		}
		put(t, store, randomImage(t), "other")
	}
}

func TestBlobsStayWhileAnImageIsRead(t *testing.T) {
	store, image := newStore(t), randomImage(t)
	put(t, store, image, "a")
	put(t, store, randomImage(t), "b")
	err := store.View(t.Context(), "a", func(image v1.Image) error {
		if err := store.Remove(context.Background(), "a"); err != nil {
			return err
		}
		return validate.Image(image)
	})
	if err != nil {
		t.Errorf("reading an image whose name was removed: %v", err)
	}
	if err := store.Remove(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, filepath.Join(store.Folder, "blobs")); len(got) != 0 {
		t.Errorf("blobs left: %v", got)
	}
}

func TestWhatAKilledProcessLeftIsReplacedAndRemoved(t *testing.T) {
	store, image := newStore(t), randomImage(t)
	put(t, store, image, "a")
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	// Versions before wrote manifests in place, so a killed one left a part; and layers beside their digest.
	if err := os.Truncate(store.Blob(digest), 10); err != nil {
		t.Fatal(err)
	}
	unfinished := []string{store.Blob(digest) + "123456", filepath.Join(filepath.Dir(store.Blob(digest)), ".imagecache-new-1"),
		filepath.Join(store.Folder, ".imagecache-new-2")}
	for _, path := range unfinished {
		if err := os.WriteFile(path, []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(t, store, image, "a")
	holds(t, store, "a", image)
	if err := store.Remove(t.Context(), "none"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, store.Folder); len(got) != 7 {
		t.Errorf("files %v, want 5 blobs, %s and %s", got, imagelayout.MarkerFile, imagelayout.IndexFile)
	}
}

func TestAnIndexOfAnotherKindIsLeftAlone(t *testing.T) {
	store := newStore(t)
	put(t, store, randomImage(t), "a")
	path := filepath.Join(store.Folder, imagelayout.IndexFile)
	if err := os.WriteFile(path, []byte("a letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), randomImage(t), "b"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
	if content, err := os.ReadFile(path); string(content) != "a letter" || err != nil {
		t.Errorf("the file now holds %q, %v", content, err)
	}
}
