package compose

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
)

// FuzzLoad takes whatever Compose file, included file and .env: it never panics or waits, names only what is in the
// workspace, and says the same twice.
func FuzzLoad(f *testing.F) {
	for _, seed := range [][3]string{
		{"services: {app: {build: .}}", "", ""},
		{"include: [inc.yml]\nservices: {app: {extends: {file: inc.yml, service: b}, build: {args: [A, \"B=${B:-${C}}\"]}}}", "services: {b: {build: {context: ${D}}}}", "A=${B}\nD=d\n"},
		{"include: [{path: [inc.yml, above/inc.yml], env_file: [.env, pipe]}]", "include: [compose.yml]", "COMPOSE_PROFILES=a,b"},
		{"services: []\ninclude: {}\n", "services: {app: 1}", "=\n'"},
		{"x: &x {services: {app: {image: \"${A:?b}\", profiles: [a]}}}\n<<: *x\n---\nservices: {app: !reset null}\n", "", "A='$B'"},
		{"services: {app: {image: a, depends_on: [b]}, b: {build: {context: ../../.., additional_contexts: [\"c=service:app\", \"d=/etc\"]}}}", "", ""},
		{"include: [pipe, /dev/zero, \"oci://x\", \"${A}\"]\n", "", "A=~/x\n"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	workspace := filepath.Join(f.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(workspace, "d"), 0o755); err != nil {
		f.Fatal(err)
	}
	write := func(t testing.TB, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(workspace, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(f, ".devcontainer.json", app)
	write(f, "Dockerfile", "FROM base\n")
	write(f, "d/Dockerfile", "FROM base\n")
	// Whoever opens it waits.
	if err := syscall.Mkfifo(filepath.Join(workspace, "pipe"), 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.Symlink("..", filepath.Join(workspace, "above")); err != nil {
		f.Fatal(err)
	}
	c, err := devcontainer.Load(workspace, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, compose, included, variables string) {
		write(t, "compose.yml", compose)
		write(t, "inc.yml", included)
		write(t, ".env", variables)
		project, err := Load(t.Context(), c, lookupIn(nil))
		again, errAgain := Load(t.Context(), c, lookupIn(nil))
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("%v, then %v", err, errAgain)
		}
		if err != nil {
			if strings.Contains(err.Error(), os.TempDir()+"/imagecache-") {
				t.Errorf("%v names a temporary file", err)
			}
			return
		}
		if diff := cmp.Diff(summaryOf(project), summaryOf(again)); diff != "" {
			t.Errorf("first and second:\n%s", diff)
		}
		for _, file := range project.Files {
			if devcontainer.Outside(file.Path) {
				t.Errorf("%s is read", file.Path)
			}
		}
		for i := range project.Services {
			// An error is right: contexts may be anywhere.
			_, _ = project.Services[i].ComputeKey(t.Context(), hash.Options{Inputs: []string{hash.InputBuildContext, hash.InputLocalEnv}})
		}
	})
}
