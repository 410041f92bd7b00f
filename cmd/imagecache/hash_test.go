package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/cli"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHash(t *testing.T) {
	one := folder(t, map[string]string{".devcontainer.json": `{"image": "base"}`})
	same := folder(t, map[string]string{".devcontainer.json": `{"image": "base"}`})
	other := folder(t, map[string]string{".devcontainer.json": `{"image": "base"} // comment`})

	_, first, _ := inPipe(t, "", "hash", one)
	if hash := strings.TrimSpace(first); len(hash) != 64 {
		t.Errorf("hash prints %q, want 64 characters and nothing else", first)
	}
	if _, second, _ := inPipe(t, "", "hash", same); second != first {
		t.Error("the same bytes have another hash")
	}
	if _, third, _ := inPipe(t, "", "hash", other); third == first {
		t.Error("a comment has to make another hash")
	}
}

func TestHashJSON(t *testing.T) {
	dir := folder(t, map[string]string{".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`, ".devcontainer/Dockerfile": "FROM scratch\n"})
	_, stdout, _ := inPipe(t, "", "hash", "-o", "json", dir)
	var got struct {
		Hash, Platform string
		Version        int
		Config         struct{ Path, Type, Dockerfile, Context string }
		Inputs         []struct {
			Name, Path, Digest string
			SizeBytes          int64
		}
		Warnings []any
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Platform != "linux/amd64" || got.Config.Type != "Dockerfile" || got.Config.Dockerfile != ".devcontainer/Dockerfile" || got.Config.Context != ".devcontainer" {
		t.Errorf("got %+v", got)
	}
	if len(got.Inputs) != 2 || got.Inputs[1].Name != "Dockerfile" || got.Inputs[1].SizeBytes != 13 || got.Warnings == nil {
		t.Errorf("inputs %+v, warnings %v", got.Inputs, got.Warnings)
	}
}

func TestHashExplain(t *testing.T) {
	dir := folder(t, map[string]string{".devcontainer.json": `{"image": "base"}`})
	_, stdout, _ := inPipe(t, "", "hash", "--explain", dir)
	for _, want := range []string{"Platform:        linux/amd64", "INPUT", "devcontainer.json   .devcontainer.json   17      sha256:"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestHashDiff(t *testing.T) {
	before := folder(t, map[string]string{".devcontainer.json": `{"image": "base"}`})
	after := folder(t, map[string]string{".devcontainer.json": `{"image": "other"}`})
	_, stdout, _ := inPipe(t, "", "hash", "--diff", before, after)
	wantOutput(t, "difference", stdout, "changed devcontainer.json (17 → 18 bytes)")
	_, stdout, _ = inPipe(t, "", "hash", "--diff", before, before)
	if !strings.HasPrefix(stdout, "The hash is the same: ") {
		t.Errorf("no difference prints %q", stdout)
	}
}

func TestHashDiffWithACommitHasTheFoldersName(t *testing.T) {
	dir := folder(t, map[string]string{
		"app/.devcontainer.json": `{"dockerComposeFile": "compose.yml", "service": "app"}`,
		"app/compose.yml":        "services: {app: {build: {context: ., args: {N: \"${COMPOSE_PROJECT_NAME}\"}}}}\n",
		"app/Dockerfile":         "FROM base\n",
	})
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	t.Chdir(filepath.Join(dir, "app"))
	for _, source := range []string{"git:HEAD", "git:HEAD:app"} {
		_, stdout, stderr := inPipe(t, "", "hash", "--input", "LocalEnv", "--diff", source, ".")
		if !strings.Contains(stdout, "is the same") {
			t.Errorf("%s: nothing changed, and it prints %q %q", source, stdout, stderr)
		}
	}
}

func TestHashDiffWithACommit(t *testing.T) {
	dir := folder(t, map[string]string{"app/.devcontainer.json": `{"image": "base"}`})
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	t.Chdir(filepath.Join(dir, "app"))
	if _, stdout, stderr := inPipe(t, "", "hash", "--diff", "git:HEAD", "."); !strings.HasPrefix(stdout, "The hash is the same: ") {
		t.Errorf("nothing changed, and it prints %q %q", stdout, stderr)
	}
	if err := os.WriteFile(".devcontainer.json", []byte(`{"image": "other"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := inPipe(t, "", "hash", "--diff", "git:HEAD", ".")
	wantOutput(t, "difference", stdout, "changed devcontainer.json (17 → 18 bytes)")
	code, _, stderr := inPipe(t, "", "hash", "--diff", "git:nope", ".")
	if code != cli.ExitFailed || !strings.Contains(stderr, "nope") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
