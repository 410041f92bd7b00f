package browser

import (
	"os"
	"path/filepath"
	"testing"
)

func TestASnapIsNoBrowserForTests(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	program := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program("snap")
	if err := os.Symlink("snap", filepath.Join(folder, "chromium")); err != nil {
		t.Fatal(err)
	}
	if path, err := findProgram(); err == nil {
		t.Errorf("it takes %s", path)
	}
	program("google-chrome")
	if path, err := findProgram(); err != nil || filepath.Base(path) != "google-chrome" {
		t.Errorf("it takes %s, %v", path, err)
	}
}
