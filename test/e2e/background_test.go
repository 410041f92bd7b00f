package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"imagecache.dev/internal/background"
)

// heldBuild is a workspace whose build asks a server, which answers when open is closed, and closes began before.
func heldBuild(t *testing.T) (folder string, began, open chan struct{}) {
	t.Helper()
	began, open = make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(began)
		<-open
	}))
	t.Cleanup(server.Close)
	return workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile", "options": ["--network=host"]}}`,
		".devcontainer/Dockerfile":        "FROM busybox:stable\nRUN wget -q -O /asked " + server.URL + "\n",
	}), began, open
}

// Without a manager nothing can be published, so a prepare that returns then has not waited for that.
func TestImageIsPublishedInTheBackground(t *testing.T) {
	folder, began, open := heldBuild(t)
	first := newMachine(t)
	prepared := make(chan ran, 1)
	go func() { prepared <- first.prepare(folder, "bg-1", "--publish", "background", "-o", "json") }()
	select {
	case <-began:
	case got := <-prepared:
		t.Fatalf("the build does not ask the server: %v", got)
	}
	cluster.StopManager()
	close(open)
	got := <-prepared
	if err := cluster.StartManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, got, codePublishing, `"outcome": "Publishing"`, "The image can be used now")
	var result struct{ Image, Publication string }
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		t.Fatal(err)
	}
	if shown := first.client("run", "--rm", "--network=host", result.Image, "ls", "/asked"); shown.code != 0 {
		t.Errorf("the image does not run: %v", shown)
	}
	// It goes on although the image lost its own name.
	if removed := first.client("rmi", result.Image); removed.code != 0 {
		t.Errorf("remove the name: %v", removed)
	}
	wants(t, first.imagecache("publications", "wait", result.Publication, "--timeout", "2m"), 0, "Published "+result.Publication+" ")
	var records []background.Record
	if err := json.Unmarshal([]byte(first.imagecache("publications", "-o", "json").stdout), &records); err != nil || len(records) != 1 {
		t.Fatalf("records %+v, %v", records, err)
	}
	if kept := first.client("images", "--quiet", "imagecache.local/publication"); kept.stdout != "" {
		t.Errorf("the image is still kept: %v", kept)
	}
	wants(t, newMachine(t).prepare(folder, "bg-2"), codeHit, savedLine)
}
