// Package differential compares keys with real builds: what changes the image
// changes the key, and what can't, doesn't.
package differential

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/builder/enginetest"
	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// shortBuilds is how many builds a run without IMAGECACHE_LONG makes.
const shortBuilds = 12

const imageName = "localhost/imagecache-test/differential:1"

// comparison has the means of one run, and its builds left.
type comparison struct {
	enginetest.Environment
	builds int // left; negative for no limit
	made   int
}

func TestKeysFollowRealBuilds(t *testing.T) {
	c := &comparison{Environment: enginetest.Start(t), builds: shortBuilds}
	if os.Getenv("IMAGECACHE_LONG") != "" {
		c.builds = -1
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if test.buildKit && c.Engine.Name() != builder.Docker {
				t.Skip("only BuildKit knows this form, and the engine here is " + c.Engine.Name())
			}
			if !c.can(3) {
				t.Skip("a short run makes fewer builds: IMAGECACHE_LONG=1 makes all")
			}
			c.compare(t, test)
		})
	}
	t.Logf("%d builds", c.made)
}

func (c *comparison) can(builds int) bool {
	return c.builds < 0 || c.made+builds <= c.builds
}

// compare builds a case as it is, with all files changed that the key leaves
// out, and with each file changed that the key holds; in a short run, with one of these.
func (c *comparison) compare(t *testing.T, test testCase) {
	workspace := c.workspace(t, test)
	key, image := keyOf(t, workspace), c.image(t, workspace)
	inKey, left := divide(t, workspace, key)
	for _, name := range left {
		change(t, workspace, name)
	}
	if other := keyOf(t, workspace); other.Hash != key.Hash {
		t.Errorf("the key changed with %q, which it does not hold", left)
	}
	if other := c.image(t, workspace); other != image {
		t.Errorf("the image changed with one of %q, and the key did not", left)
	}
	for _, name := range inKey {
		if !c.can(1) {
			return
		}
		undo := change(t, workspace, name)
		if other := keyOf(t, workspace); other.Hash == key.Hash {
			t.Errorf("the key did not change with %s", name)
		}
		if other := c.image(t, workspace); other == image {
			t.Errorf("the image did not change with %s, and the key did", name)
		}
		undo()
		if c.builds > 0 {
			return
		}
	}
}

func (c *comparison) workspace(t *testing.T, test testCase) string {
	t.Helper()
	workspace := t.TempDir()
	files := maps.Clone(common)
	maps.Copy(files, test.files)
	if test.json == "" {
		test.json = `{"build": {"dockerfile": "Dockerfile"}}`
	}
	files[".devcontainer.json"] = test.json
	from := "FROM BASE\n"
	if strings.HasPrefix(test.dockerfile, "AS ") {
		from = "FROM BASE "
	}
	files["Dockerfile"] = strings.ReplaceAll(from+test.dockerfile, "BASE", c.Base)
	for name, contents := range files {
		full := filepath.Join(workspace, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(contents), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range test.links {
		if err := os.Symlink(target, filepath.Join(workspace, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range test.executable {
		if err := os.Chmod(filepath.Join(workspace, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return workspace
}

func keyOf(t *testing.T, workspace string) *hash.Key {
	t.Helper()
	configuration, err := devcontainer.Load(workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hash.Compute(t.Context(), configuration, hash.Options{Inputs: []string{hash.InputBuildContext}})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// divide returns the files of a workspace that a key holds from the build
// context, and those that it leaves out.
func divide(t *testing.T, workspace string, key *hash.Key) (held, left []string) {
	t.Helper()
	holds := map[string]bool{}
	for _, input := range key.Inputs {
		holds[input.Path] = true
	}
	err := filepath.WalkDir(workspace, func(full string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(workspace, full)
		switch {
		case err != nil:
			return err
		case name == ".devcontainer.json" || strings.HasSuffix(name, "ockerfile"):
		case strings.HasSuffix(name, "ignore"): // what it says is what counts
		case holds[name]:
			held = append(held, name)
		default:
			left = append(left, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return held, left
}

// change writes something else into a file.
func change(t *testing.T, workspace, name string) (undo func()) {
	t.Helper()
	full := filepath.Join(workspace, name)
	before, err := os.ReadFile(full)
	if err == nil {
		err = os.WriteFile(full, append(slices.Clone(before), "changed"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(full, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// image builds a workspace and digests the files of the image: names, kinds,
// the executable bit and contents, but no times.
func (c *comparison) image(t *testing.T, workspace string) string {
	t.Helper()
	c.made++
	var logs strings.Builder
	if _, err := c.Engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: imageName, NoCache: c.Engine.Name() != builder.Docker, Logs: &logs}); err != nil {
		t.Fatalf("Build: %v\n%s", err, logs.String())
	}
	image, err := c.Engine.Save(t.Context(), imageName, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	flat := mutate.Extract(image)
	defer func() { _ = flat.Close() }()
	var lines []string
	for reader := tar.NewReader(flat); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content := sha256.New()
		if _, err := io.Copy(content, reader); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%q %c %q %o %x", strings.Trim(header.Name, "/"), header.Typeflag, header.Linkname, header.Mode&0o100, content.Sum(nil)))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n"))))
}
