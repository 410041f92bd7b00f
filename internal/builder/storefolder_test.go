package builder_test

import (
	"os"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/enginetest"
)

func TestStoreFolderExists(t *testing.T) {
	e := enginetest.Start(t)
	folder, err := builder.StoreFolder(t.Context(), e.Engine)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		t.Errorf("store %q: %v, want a folder", folder, err)
	}
}
