package builder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/builder"
)

// twoEngines puts a docker whose daemon refuses and a podman on PATH.
func twoEngines(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{
		builder.Docker: "echo 'permission denied while trying to connect to the docker API' >&2; exit 1\n",
		builder.Podman: "exit 0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestADockerThatRefusesIsNotPassedOverSilently(t *testing.T) {
	twoEngines(t)
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "docker.sock"))
	engine, err := builder.Find(t.Context(), "")
	if err != nil || engine.Name() != builder.Podman {
		t.Fatalf("found %v, %v, want podman", engine, err)
	}
	if err := builder.PassedOver(engine); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("docker is passed over because of %v, want what it said", err)
	}
}

func TestADockerClientAloneIsNoNews(t *testing.T) {
	twoEngines(t)
	if _, err := os.Stat("/var/run/docker.sock"); err == nil {
		t.Skip("SKIPPED: this machine has a docker daemon")
	}
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	engine, err := builder.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := builder.PassedOver(engine); err != nil {
		t.Errorf("docker is said to be passed over: %v", err)
	}
}

func TestADockerThatOnlyTheConfigurationNamesIsNotPassedOverSilently(t *testing.T) {
	for context, want := range map[string]bool{"remote": true, "default": false, "": false} {
		twoEngines(t)
		if _, err := os.Stat("/var/run/docker.sock"); err == nil {
			t.Skip("SKIPPED: this machine has a docker daemon")
		}
		t.Setenv("DOCKER_HOST", "")
		t.Setenv("DOCKER_CONTEXT", "")
		folder := t.TempDir()
		t.Setenv("DOCKER_CONFIG", folder)
		content := `{"currentContext": "` + context + `"}`
		if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		engine, err := builder.Find(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := builder.PassedOver(engine); (err != nil) != want {
			t.Errorf("with the context %q docker is passed over because of %v", context, err)
		}
	}
}

func TestWithoutPodmanDockersOwnReasonIsTold(t *testing.T) {
	dir := t.TempDir()
	// What docker 29 says.
	script := `#!/bin/sh
echo 'error during connect: Get "http://docker.example.com/v1.56/version": command [ssh -l me -o ConnectTimeout=30 -T -- ` +
		`build.example docker system dial-stdio] has exited with exit status 255, make sure the URL is valid, and Docker 18.09 ` +
		`or later is installed on the remote host: stderr=ssh: connect to host build.example port 22: Connection refused' >&2
exit 1
`
	if err := os.WriteFile(filepath.Join(dir, builder.Docker), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DOCKER_HOST", "ssh://me@build.example")
	_, err := builder.Find(t.Context(), "")
	const want = "no builder on this machine: docker is there, its daemon does not answer: " +
		"ssh: connect to host build.example port 22: Connection refused"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAUserWithoutANameIsTold(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		builder.Podman: "exit 0\n",
		// What the reference CLI answers to such a user.
		"devcontainer": `echo '{"outcome":"error","message":"Command failed: id -u -n","description":"An error occurred."}'; exit 1` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(builder.CLIVariable, "")
	engine, err := builder.Find(t.Context(), builder.Podman)
	if err != nil {
		t.Fatal(err)
	}
	workspace := workspaceOf(t, map[string]string{".devcontainer.json": `{"image": "base:1"}`})
	_, err = engine.Build(t.Context(), builder.Request{Workspace: workspace, ImageName: "image:1"})
	if err == nil || !strings.Contains(err.Error(), "add an entry to /etc/passwd") {
		t.Errorf("got %v, want what to do", err)
	}
}
