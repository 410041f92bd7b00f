package containerenv

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func baseImage(t *testing.T) v1.Image {
	t.Helper()
	busybox, err := FindBusybox()
	if err != nil {
		t.Skip(err)
	}
	image, err := BaseImage(busybox)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestBaseImageIsTheSameEachTime(t *testing.T) {
	first, err := baseImage(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	second, err := baseImage(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("digests %s and %s", first, second)
	}
}

func TestBaseImageIsADockerImage(t *testing.T) {
	manifest, err := baseImage(t).Manifest()
	if err != nil {
		t.Fatal(err)
	}
	got := []types.MediaType{manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType}
	want := []types.MediaType{types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("media types (-want +got):\n%s", diff)
	}
}

func TestBaseImageHoldsAShellAndUsers(t *testing.T) {
	files := mutate.Extract(baseImage(t))
	t.Cleanup(func() { _ = files.Close() })
	found := map[string]string{}
	for archive := tar.NewReader(files); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header.Linkname
	}
	for _, name := range []string{"bin/busybox", "bin/sh", "usr/bin/env", "etc/passwd", "etc/group", "etc/os-release"} {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if found["bin/sh"] != "/bin/busybox" {
		t.Errorf("bin/sh leads to %q", found["bin/sh"])
	}
}

func TestDynamicallyLinkedProgramIsRefused(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	if _, err := BaseImage(shell); !errors.Is(err, ErrNoBusybox) {
		t.Errorf("error %v, want ErrNoBusybox", err)
	}
}

func TestWrittenConfigurationNamesOnlyItsOwnFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "podman")
	env, err := Write(dir, Options{InsecureRegistries: []string{"127.0.0.1:5000"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range env {
		_, file, _ := strings.Cut(variable, "=")
		if filepath.Dir(file) != dir {
			t.Errorf("%s is not in %s", variable, dir)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil {
		t.Errorf("remove what is gone: %v", err)
	}
}

// TestPodmanBuildsOnTheBaseImage is what demo and end-to-end tests rest on: an image pulled over plain HTTP from
// loopback, a RUN step in it, and the result run and pushed back.
func TestPodmanBuildsOnTheBaseImage(t *testing.T) {
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip(err)
	}
	image := baseImage(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	base, err := name.ParseReference(address.Host + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(base, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}

	// Tests get deep folders, in which podman must not be slower.
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	env, err := Write(dir, Options{InsecureRegistries: []string{address.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
	podman := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "podman", args...)
		command.Env = append(os.Environ(), env...)
		command.Stdin = strings.NewReader("FROM " + base.String() + "\nRUN id -u >/built && mkdir -p /x && chown 65534 /x\n")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, output)
		}
		return string(output)
	}
	built := address.Host + "/built:1"
	podman("build", "-t", built, "-")
	if got := strings.TrimSpace(podman("run", "--rm", built, "cat", "/built")); got != "0" {
		t.Errorf("the RUN step wrote %q, want 0", got)
	}
	podman("push", built)

	// The cleanup must cope with a container that was left running.
	podman("run", "--detach", built, "sleep", "600")
}
