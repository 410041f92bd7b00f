// Package differential compares keys with real builds: what changes the image changes the key, and what can't, doesn't.
//
// The builds run on podman and on a current Docker with BuildKit. The key holds what any supported builder reads, so it
// may hold more than these two read; it must never hold less.
package differential

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// TestKeysFollowRealBuilds builds every case. Builds go by the reference CLI with IMAGECACHE_LONG, else directly.
func TestKeysFollowRealBuilds(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			if !long() {
				t.Parallel()
			}
			m := startMachine(t, kind)
			if long() {
				m.useCLI(t)
			}
			for _, test := range cases {
				t.Run(test.name, func(t *testing.T) {
					if test.only != "" && test.only != kind {
						t.Skipf("this form is for %s", test.only)
					}
					m.compare(t, test)
				})
			}
		})
	}
}

// compare builds a case as it is, with other modes and, in a long run, with all files changed that the key leaves out.
func (m *machine) compare(t *testing.T, test testCase) {
	workspace := test.write(t, m)
	key, before := keyOf(t, workspace), m.mustBuild(t, workspace)
	held, left := divide(t, workspace, key)
	for _, name := range left {
		if before.marks[mark(name)] {
			t.Errorf("%s is in the image, and not in the key", name)
		}
	}
	for _, name := range held {
		if !before.marks[mark(name)] && !test.wide {
			t.Errorf("%s is in the key, and not in the image", name)
		}
	}
	for name, mode := range test.chmod {
		undo := chmod(t, workspace, name, mode)
		m.compareChange(t, workspace, key, before, name, test.wide)
		undo()
	}
	if !long() {
		return
	}
	for _, name := range left {
		appendTo(t, workspace, name)
	}
	if other := keyOf(t, workspace); other.Hash != key.Hash {
		t.Errorf("the key changed with %q, which it does not hold", left)
	}
	if difference := before.difference(m.mustBuild(t, workspace)); difference != "" {
		t.Errorf("the image changed with one of %q, and the key did not:\n%s", left, difference)
	}
}

// compareChange compares both after one change.
func (m *machine) compareChange(t *testing.T, workspace string, key *hash.Key, before *image, what string, wide bool) {
	t.Helper()
	difference := before.difference(m.mustBuild(t, workspace))
	switch other := keyOf(t, workspace); {
	case difference != "" && other.Hash == key.Hash:
		t.Errorf("the image changed with %s, and the key did not:\n%s", what, difference)
	case difference == "" && other.Hash != key.Hash && !wide:
		t.Errorf("the key changed with %s, and the image did not", what)
	}
}

func (m *machine) mustBuild(t *testing.T, workspace string) *image {
	t.Helper()
	built, err := m.build(t, workspace)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// write writes a case's workspace.
func (test testCase) write(t *testing.T, m *machine) (workspace string) {
	t.Helper()
	workspace = t.TempDir()
	if err := os.Chmod(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{".devcontainer.json": plainJSON}
	if test.json != "" {
		files[".devcontainer.json"] = test.json
	}
	from := "FROM BASE"
	if test.from != "" {
		from = "FROM " + test.from
	}
	if strings.HasPrefix(test.dockerfile, "AS ") {
		from += " "
	} else {
		from += "\n"
	}
	files["Dockerfile"] = strings.NewReplacer("ENVBASE", m.env, "BASE", m.base).Replace(test.head + from + test.dockerfile)
	for _, set := range []map[string]string{common, test.files} {
		for name, content := range set {
			if content == "" {
				content = mark(name)
			}
			files[name] = content
		}
	}
	for name, content := range files {
		full := filepath.Join(workspace, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range test.links {
		if err := os.Symlink(target, filepath.Join(workspace, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range test.modes {
		chmod(t, workspace, name, mode)
	}
	for _, name := range test.sockets {
		if err := syscall.Mknod(filepath.Join(workspace, name), syscall.S_IFSOCK|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

func keyOf(t *testing.T, workspace string) *hash.Key {
	t.Helper()
	key, err := tryKey(t, workspace)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tryKey returns a workspace's key with the files of its build context.
func tryKey(t *testing.T, workspace string) (*hash.Key, error) {
	t.Helper()
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		return nil, err
	}
	return hash.Compute(t.Context(), configuration, hash.Options{Inputs: []string{hash.InputBuildContext}})
}

// divide returns the files of a workspace that a key holds from the build context, and those that it leaves out.
func divide(t *testing.T, workspace string, key *hash.Key) (held, left []string) {
	t.Helper()
	holds := map[string]bool{}
	for _, input := range key.Inputs {
		holds[input.Path] = true
	}
	for _, name := range filesOf(t, workspace) {
		switch {
		case name == ".devcontainer.json" || name == "Dockerfile":
		case strings.HasSuffix(name, "ignore"): // what it says is what counts
		case holds[name]:
			held = append(held, name)
		default:
			left = append(left, name)
		}
	}
	return held, left
}

// filesOf lists the files of a workspace, sorted.
func filesOf(t *testing.T, workspace string) []string {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(workspace, func(full string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(workspace, full)
		names[name] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(names))
}

// appendTo changes a file.
func appendTo(t *testing.T, workspace, name string) {
	t.Helper()
	full := filepath.Join(workspace, name)
	content, err := os.ReadFile(full)
	if err == nil {
		err = os.WriteFile(full, append(content, "changed"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// chmod changes a mode.
func chmod(t *testing.T, workspace, name string, mode fs.FileMode) (undo func()) {
	t.Helper()
	full := filepath.Join(workspace, name)
	info, err := os.Stat(full)
	if err == nil {
		err = os.Chmod(full, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Chmod(full, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}
