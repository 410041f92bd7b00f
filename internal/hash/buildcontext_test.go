package hash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash/files"
)

const inContext = `{"build": {"dockerfile": "Dockerfile"}}`

// contextPaths returns the paths that a Dockerfile takes of a workspace, with
// marks for what is no plain file.
func contextPaths(t *testing.T, workspace string) []string {
	t.Helper()
	marks := map[Mode]string{ModeFile: "", ModeExecutable: "*", ModeSymlink: "@", ModeFolder: "/"}
	paths := []string{}
	for _, input := range compute(t, workspace, Options{Inputs: []string{InputBuildContext}}).Inputs {
		if input.Name == InputBuildContext {
			paths = append(paths, input.Path+marks[input.Mode])
		}
	}
	return paths
}

func TestBuildContextIsWhatABuildReads(t *testing.T) {
	tree := map[string]string{
		"a.json": "", "b.json": "", "c.md": "", "a b": "", "src/x.go": "", "src/y.md": "", "src/deep/z.go": "", "src/deep/z.md": "",
		"lib/l.go": "", "lib/node_modules/n.js": "", "run.sh": "",
	}
	tests := map[string]struct {
		dockerfile string
		ignore     map[string]string
		links      map[string]string
		want       []string
	}{
		"nothing":                           {dockerfile: "RUN true", want: []string{}},
		"a folder":                          {dockerfile: "COPY ./src /app", want: []string{"src/deep/", "src/deep/z.go", "src/deep/z.md", "src/x.go", "src/y.md"}},
		"a file":                            {dockerfile: "COPY src/deep/z.go run.sh /", want: []string{"run.sh*", "src/deep/z.go"}},
		"a name with a space":               {dockerfile: `COPY ["a b", "/x"]`, want: []string{"a b"}},
		"a pattern":                         {dockerfile: "COPY *.json /app/", want: []string{".devcontainer.json", "a.json", "b.json"}},
		"a pattern of folders":              {dockerfile: "COPY s*/d* /app/", want: []string{"src/deep/z.go", "src/deep/z.md"}},
		"a pattern does not cross":          {dockerfile: "COPY *.go /app/", want: []string{}},
		"a character class":                 {dockerfile: "COPY [bc].* /app/", want: []string{"b.json", "c.md"}},
		"above":                             {dockerfile: "COPY ../../c.md /app/", want: []string{"c.md"}},
		"without":                           {dockerfile: "COPY --exclude=**/*.md --exclude=**/deep src /app/", want: []string{"src/x.go"}},
		"without what one builder excludes": {dockerfile: "COPY --exclude=*.md --exclude=**/deep src /app/", want: []string{"src/x.go", "src/y.md"}},
		"without, any depth":                {dockerfile: "COPY --exclude=**/*.md src /app/", want: []string{"src/deep/", "src/deep/z.go", "src/x.go"}},
		"a source itself stays":             {dockerfile: "COPY --exclude=*.md c.md /app/", want: []string{"c.md"}},
		"with parents":                      {dockerfile: "COPY --parents src/*/z.go /app/", want: []string{"src/", "src/deep/", "src/deep/z.go"}},
		"with parents from below":           {dockerfile: "COPY --parents ./src/./deep/*.md /app/", want: []string{"src/deep/", "src/deep/z.md"}},
		"a mount":                           {dockerfile: "RUN --mount=type=bind,source=lib,target=/l true", want: []string{"lib/l.go", "lib/node_modules/", "lib/node_modules/n.js"}},
		"several that overlap":              {dockerfile: "COPY src/x.go /a\nCOPY src /b\nCOPY src/deep /c", want: []string{"src/deep/", "src/deep/z.go", "src/deep/z.md", "src/x.go", "src/y.md"}},
		"ignored": {dockerfile: "COPY . /app", ignore: map[string]string{".dockerignore": "# a comment\n**/*.md\nsrc/deep\n*.json\n!b.json\nlib/node_modules\nDockerfile\n.*\n"},
			want: []string{"a b", "b.json", "lib/", "lib/l.go", "run.sh*", "src/", "src/x.go"}},
		"ignored all but":             {dockerfile: "COPY . /app", ignore: map[string]string{".dockerignore": "*\n!src/deep/*.go\n"}, want: []string{"src/", "src/deep/", "src/deep/z.go"}},
		"ignored all but, by pattern": {dockerfile: "COPY s* /app", ignore: map[string]string{".dockerignore": "*\n!src/deep/*.go\n"}, want: []string{"src/deep/", "src/deep/z.go"}},
		"ignored above a source":      {dockerfile: "COPY lib /app", ignore: map[string]string{".dockerignore": "**/node_modules\n"}, want: []string{"lib/l.go"}},
		"ignored behind a space": {dockerfile: "COPY *.md s* lib/*.go /app/", ignore: map[string]string{".dockerignore": "c.md\n /lib\nsrc\n"},
			want: []string{"lib/l.go"}},
		"ignored for podman alone":                     {dockerfile: "COPY *.md /app", ignore: map[string]string{".containerignore": "*.md\n"}, want: []string{"c.md"}},
		"ignored for both":                             {dockerfile: "COPY *.json /app", ignore: map[string]string{".containerignore": "a.json\n", ".dockerignore": "*.json\n!b.json"}, want: []string{".devcontainer.json", "b.json"}},
		"a Dockerfile's own ignore file hides nothing": {dockerfile: "COPY *.md /app", ignore: map[string]string{"Dockerfile.dockerignore": "*.md\n"}, want: []string{"c.md"}},
		"links in a folder are links": {dockerfile: "COPY src/deep /app", links: map[string]string{"src/deep/out": "/etc/passwd", "src/deep/up": "../x.go", "src/deep/none": "nowhere"},
			want: []string{"src/deep/none@", "src/deep/out@", "src/deep/up@", "src/deep/z.go", "src/deep/z.md"}},
		"a link that is a source is followed": {dockerfile: "COPY link /app\nCOPY dir/deep/z.go /b", links: map[string]string{"link": "src/y.md", "dir": "/src"},
			want: []string{"dir@", "link@", "src/deep/z.go", "src/y.md"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, tree)
			test.ignore = mapWith(test.ignore, map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM registry.example/base\n" + test.dockerfile + "\n"})
			writeAll(t, workspace, test.ignore)
			for link, target := range test.links {
				if err := os.Symlink(target, filepath.Join(workspace, link)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(workspace, "run.sh"), 0o755); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, contextPaths(t, workspace)); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func mapWith(first, second map[string]string) map[string]string {
	merged := map[string]string{}
	for _, files := range []map[string]string{first, second} {
		for name, contents := range files {
			merged[name] = contents
		}
	}
	return merged
}

func TestBuildContextKeyChangesWithWhatMatters(t *testing.T) {
	files := map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM registry.example/base\nCOPY src /src\n", "src/a": "1", "src/d/b": "2", "other": "3"}
	o := Options{Inputs: []string{InputBuildContext}}
	want := compute(t, workspaceOf(t, files), o).Hash
	changes := map[string]struct {
		change func(workspace string) error
		same   bool
	}{
		"nothing":             {func(string) error { return nil }, true},
		"another file":        {func(w string) error { return os.WriteFile(filepath.Join(w, "other"), []byte("4"), 0o600) }, true},
		"another time":        {func(w string) error { return os.Chtimes(filepath.Join(w, "src/a"), fixedTime, fixedTime) }, true},
		"a writer more":       {func(w string) error { return os.Chmod(filepath.Join(w, "src/a"), 0o664) }, true},
		"nobody may write":    {func(w string) error { return os.Chmod(filepath.Join(w, "src/a"), 0o444) }, true},
		"a folder's writer":   {func(w string) error { return os.Chmod(filepath.Join(w, "src/d"), 0o775) }, true},
		"no rights of others": {func(w string) error { return os.Chmod(filepath.Join(w, "src/a"), 0o640) }, false},
		"a private folder":    {func(w string) error { return os.Chmod(filepath.Join(w, "src/d"), 0o700) }, false},
		"content":             {func(w string) error { return os.WriteFile(filepath.Join(w, "src/a"), []byte("4"), 0o600) }, false},
		"the executable bit":  {func(w string) error { return os.Chmod(filepath.Join(w, "src/a"), 0o755) }, false},
		"a name":              {func(w string) error { return os.Rename(filepath.Join(w, "src/a"), filepath.Join(w, "src/c")) }, false},
		"a place":             {func(w string) error { return os.Rename(filepath.Join(w, "src/a"), filepath.Join(w, "src/d/a")) }, false},
		"an empty folder":     {func(w string) error { return os.Mkdir(filepath.Join(w, "src/e"), 0o755) }, false},
		"one file less":       {func(w string) error { return os.Remove(filepath.Join(w, "src/d/b")) }, false},
		"a link for a file": {func(w string) error {
			return errors.Join(os.Remove(filepath.Join(w, "src/a")), os.Symlink("1", filepath.Join(w, "src/a")))
		}, false},
	}
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, files)
			if err := test.change(workspace); err != nil {
				t.Fatal(err)
			}
			if got := compute(t, workspace, o).Hash; (got == want) != test.same {
				t.Errorf("same hash: %v, want %v", got == want, test.same)
			}
		})
	}
}

func TestBuildContextRefuses(t *testing.T) {
	base := "FROM registry.example/base\n"
	tests := map[string]struct {
		json, dockerfile string
		files            map[string]string
		arrange          func(workspace string) error
		limits           files.Limits
		is               error
		want             string
	}{
		"a source that is not there": {dockerfile: base + "COPY none /", is: files.ErrMissing, want: "Dockerfile line 2: none"},
		"a source above":             {dockerfile: base + "COPY ../outside /", is: files.ErrMissing, want: "outside"},
		"a source that is ignored":   {dockerfile: base + "COPY f /", files: map[string]string{".dockerignore": "f", "f": ""}, is: files.ErrMissing, want: "an ignore file hides it"},
		"a link out of the workspace": {dockerfile: base + "COPY link /", is: files.ErrMissing, want: "link",
			arrange: func(w string) error { return os.Symlink("/etc/passwd", filepath.Join(w, "link")) }},
		"links in a circle": {dockerfile: base + "COPY link /", want: "too many levels of symbolic links",
			arrange: func(w string) error { return os.Symlink("link", filepath.Join(w, "link")) }},
		"a fifo": {dockerfile: base + "COPY d /d", files: map[string]string{"d/f": ""}, is: files.ErrSpecial, want: "d/fifo",
			arrange: func(w string) error { return syscall.Mkfifo(filepath.Join(w, "d/fifo"), 0o600) }},
		"a fifo that is a source": {dockerfile: base + "COPY fifo /d", is: files.ErrSpecial, want: "fifo",
			arrange: func(w string) error { return syscall.Mkfifo(filepath.Join(w, "fifo"), 0o600) }},
		"a context above":             {json: `{"build": {"dockerfile": "Dockerfile", "context": ".."}}`, dockerfile: base + "COPY a /", is: devcontainer.ErrOutside},
		"a context that is not there": {json: `{"build": {"dockerfile": "Dockerfile", "context": "none"}}`, dockerfile: base + "COPY a /", is: fs.ErrNotExist, want: "none"},
		"too many":                    {dockerfile: base + "COPY . /", files: map[string]string{"a": "", "b": "", "c": ""}, limits: files.Limits{Entries: 3, Bytes: 1000}, is: files.ErrTooMany, want: "more than 3 files"},
		"too much":                    {dockerfile: base + "COPY a /", files: map[string]string{"a": "123456"}, limits: files.Limits{Entries: 3, Bytes: 5}, is: files.ErrTooMany, want: "more than 5 bytes"},
		"a broken pattern":            {dockerfile: base + "COPY a[ /", files: map[string]string{"a": ""}, want: "syntax error in pattern"},
		"a broken ignore file":        {dockerfile: base + "COPY . /", files: map[string]string{".dockerignore": "[a\n"}, want: ".dockerignore"},
		"what BuildKit refuses":       {dockerfile: base + "COPPY . /", want: "unknown instruction"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.json == "" {
				test.json = inContext
			}
			workspace := workspaceOf(t, mapWith(test.files, map[string]string{".devcontainer.json": test.json, "Dockerfile": test.dockerfile}))
			if test.arrange != nil {
				if err := test.arrange(workspace); err != nil {
					t.Fatal(err)
				}
			}
			c, err := devcontainer.Load(workspace, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Compute(context.Background(), c, Options{Inputs: []string{InputBuildContext}, Limits: test.limits})
			if err == nil {
				t.Fatal("Compute succeeded")
			}
			if test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Compute: %v, want one line with %q that is %v", err, test.want, test.is)
			}
		})
	}
}

func TestAPatternTakesBoundedTime(t *testing.T) {
	nested := ".devcontainer"
	files := map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM scratch\nCOPY **/**/**/**/**/**/*.t */*/*/*/*/*/*/* **/*/**/*/**/*/*.t /\n"}
	for range 30 {
		nested += "/d"
		files[nested+"/x.t"] = ""
	}
	workspace := workspaceOf(t, files)
	for i := range 8 {
		if err := os.Symlink(".", filepath.Join(workspace, fmt.Sprintf("link%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if paths := contextPaths(t, workspace); len(paths) < 30 {
		t.Errorf("%d paths, want the 30 files", len(paths))
	}
}

func TestASpecialFileThatNothingTakesIsNoError(t *testing.T) {
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM a\nCOPY *.md src /x/\n", "a.md": "", "src/b": "", ".dockerignore": "src/fifo"})
	for _, name := range []string{"fifo", "src/fifo"} {
		if err := syscall.Mkfifo(filepath.Join(workspace, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a.md", "src/b"}, contextPaths(t, workspace)); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

// TestTheRightsOfAMountedFolderCountWhereTheyAreUnusual, because a step sees
// them. COPY does not take those of a source.
func TestTheRightsOfAMountedFolderCountWhereTheyAreUnusual(t *testing.T) {
	const mountOne, mountAll = "RUN --mount=type=bind,source=src,target=/m cp -a /m /y\n", "RUN --mount=type=bind,target=/m cp -a /m /y\n"
	for name, test := range map[string]struct {
		step   string
		folder string
		mode   fs.FileMode
		want   string // the top folder's input, as path and mode
	}{
		"usual":               {step: mountOne, folder: "src", mode: 0o755},
		"usual of a group":    {step: mountOne, folder: "src", mode: 0o775},
		"private":             {step: mountOne, folder: "src", mode: 0o700, want: "src folder:00"},
		"private, copied":     {step: "COPY src /new\n", folder: "src", mode: 0o700},
		"a private context":   {step: mountAll, folder: ".", mode: 0o750, want: " folder:50"},
		"a context, mounted":  {step: mountAll, folder: ".", mode: 0o755},
		"a private workspace": {step: mountOne, folder: ".", mode: 0o700},
	} {
		t.Run(name, func(t *testing.T) {
			workspace := workspaceOf(t, map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM a\n" + test.step, "src/b": ""})
			for _, folder := range []string{".", "src"} {
				if err := os.Chmod(filepath.Join(workspace, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(workspace, test.folder), test.mode); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, input := range compute(t, workspace, Options{Inputs: []string{InputBuildContext}}).Inputs {
				if strings.HasPrefix(string(input.Mode), string(ModeFolder)) && (input.Path == "" || input.Mode != ModeFolder) {
					got += input.Path + " " + string(input.Mode)
				}
			}
			if got != test.want {
				t.Errorf("top folder %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnUnreadableFileIsAnError(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": inContext, "Dockerfile": "FROM a\nCOPY f /", "f": ""})
	if err := os.Chmod(filepath.Join(workspace, "f"), 0); err != nil {
		t.Fatal(err)
	}
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compute(context.Background(), c, Options{Inputs: []string{InputBuildContext}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Compute: %v, want that it may not be read", err)
	}
}
