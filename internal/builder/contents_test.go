package builder_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// fileOf returns a file's contents in an image, "" where it isn't there.
func fileOf(t *testing.T, image v1.Image, name string) string {
	t.Helper()
	flat := mutate.Extract(image)
	defer func() { _ = flat.Close() }()
	reader := tar.NewReader(flat)
	for {
		header, err := reader.Next()
		if err != nil {
			return ""
		}
		if strings.TrimPrefix(header.Name, "/") == name {
			contents, err := io.ReadAll(reader)
			if err != nil {
				t.Error(err)
			}
			return string(contents)
		}
	}
}

// running reports whether any process of the machine has words in its command line.
func running(t *testing.T, words string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(words)) {
			return true
		}
	}
	return false
}

// trigger pulls once, when a word is written to it.
type trigger struct {
	word string
	pull func()
	once sync.Once
}

func (t *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(t.word)) {
		t.once.Do(t.pull)
	}
	return len(p), nil
}
