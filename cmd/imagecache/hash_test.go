package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/publication"
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
	if code != exitFailed || !strings.Contains(stderr, "nope") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestCachedKey(t *testing.T) {
	key := func(hash string, inputs ...v1alpha1.KeyInput) v1alpha1.DevcontainerImage {
		return v1alpha1.DevcontainerImage{Spec: v1alpha1.DevcontainerImageSpec{ConfigHash: hash, Inputs: inputs}}
	}
	input := v1alpha1.KeyInput{Name: "BuildContext main.go", Digest: "sha256:1"}
	requests := keysOfRequests([]v1alpha1.DevcontainerImage{key("aaaa1", input), key("aaaa1", input), key("aaaa2", input), key("bbbb")})
	images := keysOfImages([]catalog.Image{
		{Hash: "aaaa1", Platform: "linux/arm64", Inputs: []publication.Input{{Name: "BuildContext main.go", Digest: "sha256:1"}}},
		{Hash: "aaaa2", Inputs: []publication.Input{{Name: "Dockerfile"}}}, {Hash: "bbbb"},
	})
	for name, keys := range map[string][]*hashed{"requests": requests, "images": images} {
		found, err := cachedKey(keys, "aaaa1")
		if err != nil || found == nil || found.Hash != "aaaa1" || !found.told || len(found.Inputs) != 1 || found.Inputs[0].Digest != input.Digest {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
		if _, err := cachedKey(keys, "aaaa"); err == nil || !strings.Contains(err.Error(), "several cached images") {
			t.Errorf("%s: an ambiguous hash: %v", name, err)
		}
		for _, wanted := range []string{"bbbb", "cccc"} {
			if found, err := cachedKey(keys, wanted); found != nil || err != nil {
				t.Errorf("%s: %s: %+v, %v; want nothing", name, wanted, found, err)
			}
		}
	}
}
