//go:build linux

package builder

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/priority"
)

// ownNice is the nice value of this test.
func ownNice(t *testing.T) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func TestSavingAtLowPriorityLowersItsProgramAlone(t *testing.T) {
	folder := t.TempDir()
	told := filepath.Join(folder, "told")
	// The autogroup file exists only where the kernel groups processes by session.
	script := "#!/bin/sh\nnice >" + told + "\n[ ! -e /proc/self/autogroup ] || sed 's/.* nice //' /proc/self/autogroup >>" + told + "\nexit 1\n"
	path := filepath.Join(folder, "podman")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	engine := &program{name: Podman, path: path}
	own := ownNice(t)
	for _, test := range []struct {
		ctx  context.Context
		want int
	}{{priority.Low(t.Context()), max(own, 10)}, {t.Context(), own}} {
		if _, err := engine.Save(test.ctx, "image", t.TempDir(), compression.Gzip, nil); err == nil {
			t.Error("no error of a program that fails")
		}
		content, err := os.ReadFile(told)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if strings.TrimSpace(line) != strconv.Itoa(test.want) {
				t.Errorf("nice values %q, want %d", content, test.want)
			}
		}
	}
}
