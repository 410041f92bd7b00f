package builder_test

import (
	"net"
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
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	t.Setenv("DOCKER_HOST", "unix://"+socket)
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
		t.Skip("this machine has a docker daemon")
	}
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "")
	engine, err := builder.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := builder.PassedOver(engine); err != nil {
		t.Errorf("docker is said to be passed over: %v", err)
	}
}
