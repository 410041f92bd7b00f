package gitrev

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes one with two commits: file a is "one" and then "two", and app/b has a link to it.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	write("a", "one", 0o644)
	write("app/run", "#!/bin/sh\n", 0o755)
	if err := os.Symlink("../a", filepath.Join(dir, "app", "link")); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "-qm", "first")
	write("a", "two", 0o644)
	git("commit", "-qam", "second")
	write("a", "not committed", 0o644)
	return dir
}

func TestExtract(t *testing.T) {
	dir := repository(t)
	tests := map[string]struct{ from, revision, file, want string }{
		"latest":         {dir, "HEAD", "a", "two"},
		"earlier":        {dir, "HEAD~1", "a", "one"},
		"from below":     {filepath.Join(dir, "app"), "HEAD", "run", "#!/bin/sh\n"},
		"a folder of it": {dir, "HEAD:app", "run", "#!/bin/sh\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := Extract(t.Context(), test.from, test.revision, folder); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(folder, test.file))
			if err != nil || string(got) != test.want {
				t.Errorf("%s is %q (%v), want %q", test.file, got, err, test.want)
			}
		})
	}
	folder := t.TempDir()
	if err := Extract(t.Context(), dir, "HEAD", folder); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(folder, "app", "link")); target != "../a" {
		t.Errorf("link to %q, %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(folder, "app", "run")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("the executable bit is lost: %v, %v", info, err)
	}
}

func TestExtractSaysWhatIsWrong(t *testing.T) {
	dir := repository(t)
	for revision, want := range map[string]string{"nope": "nope", "--remote=x": "is no revision"} {
		if err := Extract(t.Context(), dir, revision, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("revision %q: %v", revision, err)
		}
	}
	if err := Extract(t.Context(), t.TempDir(), "HEAD", t.TempDir()); err == nil || !strings.Contains(err.Error(), "in no git repository") {
		t.Errorf("outside a repository: %v", err)
	}
}

func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	for _, headers := range [][]tar.Header{
		{{Name: "../out", Typeflag: tar.TypeReg}},
		{{Name: "link", Linkname: "..", Typeflag: tar.TypeSymlink}, {Name: "link/out", Typeflag: tar.TypeReg}},
	} {
		var stream bytes.Buffer
		archive := tar.NewWriter(&stream)
		for _, header := range headers {
			if err := archive.WriteHeader(&header); err != nil {
				t.Fatal(err)
			}
		}
		outer := t.TempDir()
		folder := filepath.Join(outer, "in")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := unpack(root, &stream); err == nil {
			t.Errorf("%+v was unpacked", headers)
		}
		if _, err := os.Stat(filepath.Join(outer, "out")); err == nil {
			t.Errorf("%+v was written outside", headers)
		}
	}
}
