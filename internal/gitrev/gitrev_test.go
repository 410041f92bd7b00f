package gitrev

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newRepository makes one with two commits: file a is "one" and then "two", and app/b has a link to it.
func newRepository(t *testing.T) string {
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
	dir := newRepository(t)
	tests := map[string]struct{ from, revision, file, want string }{
		"latest":         {dir, "HEAD", "a", "two"},
		"earlier":        {dir, "HEAD~1", "a", "one"},
		"by date":        {dir, "HEAD@{2099-01-01 10:00}", "a", "two"},
		"by text":        {dir, ":/first", "a", "one"},
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
	dir := newRepository(t)
	for revision, want := range map[string]string{"nope": "nope", "--remote=x": "is no revision"} {
		if err := Extract(t.Context(), dir, revision, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("revision %q: %v", revision, err)
		}
	}
	if err := Extract(t.Context(), t.TempDir(), "HEAD", t.TempDir()); err == nil || !strings.Contains(err.Error(), "in no git repository") {
		t.Errorf("outside a repository: %v", err)
	}
}

func TestExtractWritesWhatACheckoutWrites(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("init", "-q")
	files := map[string]string{
		".gitattributes": "hidden export-ignore\nversion export-subst\n*.crlf text eol=crlf\n",
		"hidden":         "1\n", "version": "$Format:%H$\n", "app/lines.crlf": "a\r\nb\r\n", "app/$x [1]*": "odd\n",
	}
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	git("add", ".")
	git("commit", "-qm", "all")
	folder, app := t.TempDir(), t.TempDir()
	if err := errors.Join(Extract(t.Context(), dir, "HEAD", folder), Extract(t.Context(), dir, "HEAD:app/", app)); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	if entries, err := os.ReadDir(app); err != nil || len(entries) != 2 {
		t.Errorf("app has %v, %v, want its two files", entries, err)
	}
	if got, _ := os.ReadFile(filepath.Join(app, "lines.crlf")); string(got) != files["app/lines.crlf"] {
		t.Errorf("app/lines.crlf is %q: the attributes above do not apply", got)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitattributes"), []byte("*.crlf text eol=lf\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git("commit", "-qam", "other attributes")
	before := t.TempDir()
	if err := Extract(t.Context(), dir, "HEAD~1", before); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(before, "app/lines.crlf")); string(got) != files["app/lines.crlf"] {
		t.Errorf("app/lines.crlf is %q: the attributes of another commit apply", got)
	}
	command := exec.Command("git", "-C", dir, "status", "--porcelain")
	if status, err := command.Output(); err != nil || len(status) > 0 {
		t.Errorf("the repository changed: %s, %v", status, err)
	}
}

func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	dir := newRepository(t)
	run := func(input string, args ...string) string {
		t.Helper()
		command := exec.Command("git", append([]string{"-C", dir}, args...)...)
		command.Stdin = strings.NewReader(input)
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	blob := run("x", "hash-object", "-w", "--stdin")
	inner := run("100644 blob "+blob+"\tout\n", "mktree")
	tree := run("040000 tree "+inner+"\t..\n", "mktree")
	outer := t.TempDir()
	folder := filepath.Join(outer, "in")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Extract(t.Context(), dir, tree, folder); err == nil {
		t.Error("a tree with the name .. was written")
	}
	if _, err := os.Stat(filepath.Join(outer, "out")); err == nil {
		t.Error("a file was written outside")
	}
}
