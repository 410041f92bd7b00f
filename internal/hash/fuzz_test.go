package hash

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imagecache.dev/internal/devcontainer"
)

// FuzzContext takes whatever Dockerfile and ignore file over a small context
// with files, folders and links: it never panics, names only what is there,
// says the same twice, and ignoring more never takes more.
func FuzzContext(f *testing.F) {
	for _, seed := range [][2]string{
		{"FROM a\nCOPY . /x\n", "*.md\n!c.md\n"}, {"FROM a AS b\nONBUILD COPY d /x\nFROM b\nCOPY --from=b [\"e f\", \"/\"]\n", "**/g\n"},
		{"ARG A=d\nFROM a\nARG A\nCOPY --exclude=*.md --parents ./$A/./g* [a-c].md link /\n", "d/*\n!d/g\n"}, {"FROM a\nADD https://host.example/x out dir /y/\nRUN --mount=source=d,target=/d <<E\nE\n", ""},
		{"# escape=`\nFROM a\nCOPY `\n d/../c.md /\n", "/\n.\n#\n"},
	} {
		f.Add(seed[0], seed[1])
	}
	workspace := workspaceOf(f, map[string]string{".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile", "context": "../c"}}`,
		"c/c.md": "1", "c/d/g": "2", "c/d/h.md": "3", "c/d/i/j": "4", "c/e f": "5", "outside": "6"})
	for link, target := range map[string]string{"c/link": "d/g", "c/dir": "/d/i", "c/out": "../outside", "c/d/loop": "../d"} {
		if err := os.Symlink(target, filepath.Join(workspace, link)); err != nil {
			f.Fatal(err)
		}
	}
	taken := func(t *testing.T, dockerfile string, ignore *string) ([]string, error) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(workspace, ".devcontainer/Dockerfile"), []byte(dockerfile), 0o600); err != nil {
			t.Fatal(err)
		}
		ignoreFile := filepath.Join(workspace, "c/.dockerignore")
		if ignore == nil {
			_ = os.Remove(ignoreFile)
		} else if err := os.WriteFile(ignoreFile, []byte(*ignore), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := devcontainer.Load(workspace, "")
		if err != nil {
			return nil, err
		}
		key, err := Compute(t.Context(), c, Options{Inputs: []string{InputBuildContext}})
		if err != nil {
			return nil, err
		}
		return named(key, InputBuildContext), nil
	}
	f.Fuzz(func(t *testing.T, dockerfile, ignore string) {
		less, err := taken(t, dockerfile, &ignore)
		if err != nil {
			return
		}
		again, err := taken(t, dockerfile, &ignore)
		if err != nil || !slices.Equal(less, again) {
			t.Errorf("taken %q, then %q, %v", less, again, err)
		}
		for _, name := range less {
			if !strings.HasPrefix(name, "c/") {
				t.Errorf("taken from outside of the context: %s", name)
			}
			if _, err := os.Lstat(filepath.Join(workspace, name)); err != nil {
				t.Errorf("taken: %v", err)
			}
		}
		more, err := taken(t, dockerfile, nil)
		if err != nil {
			t.Errorf("without the ignore file: %v", err)
		}
		for _, name := range less {
			if name != "c/.dockerignore" && !slices.Contains(more, name) {
				t.Errorf("%s is taken with the ignore file alone", name)
			}
		}
	})
}
