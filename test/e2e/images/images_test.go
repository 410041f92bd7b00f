// Package images builds the project's images with ko, as a release does, against a registry on loopback, and looks at what
// came out.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	version = "v0.1.0-test"
	// patience is for linking two platforms on a slow machine: make compiled everything before.
	patience = 12 * time.Minute
)

var root = filepath.Join("..", "..", "..")

// machines tell for which platform a program was compiled.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// program is what a release ships: its name, something that its --help says, and a module that its SBOM names.
type program struct{ name, help, module string }

// programs are the manager, which every release installs, and, with IMAGECACHE_LONG, the two others.
func programs() []program {
	shipped := []program{{"manager", "--leader-elect", "sigs.k8s.io/controller-runtime"}}
	if os.Getenv("IMAGECACHE_LONG") != "" {
		shipped = append(shipped, program{"imagecache", "prepare", "github.com/moby/buildkit"}, program{"aws-emulator", "--listen", "github.com/spf13/cobra"})
	}
	return shipped
}

// TestRelease makes a release, then the manager's image once more without a registry.
func TestRelease(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	base := reference(t, host+"/base/static:latest")
	if err := remote.WriteIndex(base, baseIndex(t)); err != nil {
		t.Fatal(err)
	}

	dist := filepath.Join(t.TempDir(), "dist")
	environment := []string{"KO_DEFAULTBASEIMAGE=" + base.String(), "VERSION=" + version}
	var names []string
	for _, program := range programs() {
		names = append(names, program.name)
	}
	run(t, append(environment, "KO_DOCKER_REPO="+host+"/imagecache", "IMAGES="+strings.Join(names, " ")), filepath.Join(root, "hack", "release.sh"), dist)

	repository := host + "/imagecache/manager"
	pushed, err := remote.Index(reference(t, repository+":"+version))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := pushed.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs() {
		t.Run("both platforms of "+program.name, func(t *testing.T) { checkPlatforms(t, program, host+"/imagecache/"+program.name) })
	}
	t.Run("install.yaml and chart name the image by digest", func(t *testing.T) {
		checkReferences(t, dist, repository+"@"+digest.String())
	})
	t.Run("a second build has the same digest", func(t *testing.T) {
		again := filepath.Join(t.TempDir(), "dist")
		run(t, append(environment, "IMAGES=manager"), filepath.Join(root, "hack", "images.sh"), again)
		if got := digestOfLayout(t, filepath.Join(again, "images")); got != digest {
			t.Errorf("the images of two builds are %s and %s", digest, got)
		}
	})
}

// checkPlatforms looks at each image of a program and at what is in it.
func checkPlatforms(t *testing.T, shipped program, repository string) {
	t.Helper()
	index, err := remote.Index(reference(t, repository+":"+version))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, descriptor := range manifest.Manifests {
		platform := descriptor.Platform.String()
		seen = append(seen, platform)
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		// By number: the kubelet can't tell from a name that a user is not root.
		if file.Config.User != "65532" {
			t.Errorf("%s runs as %q", platform, file.Config.User)
		}
		program := contents(t, image, "ko-app/"+shipped.name)
		for _, needed := range []string{"etc/ssl/certs/ca-certificates.crt", "etc/passwd", "tmp/"} {
			contents(t, image, needed)
		}
		checkProgram(t, shipped, descriptor.Platform.Architecture, program)
		checkSBOM(t, shipped, repository, descriptor.Digest)
	}
	if strings.Join(seen, " ") != "linux/amd64 linux/arm64" {
		t.Errorf("the index has %v", seen)
	}
}

// checkProgram holds a program against its platform, and runs it where it is this machine's.
func checkProgram(t *testing.T, shipped program, architecture string, program []byte) {
	t.Helper()
	binary, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if binary.Machine != machines[architecture] {
		t.Errorf("the program for %s is for %s", architecture, binary.Machine)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program for %s is not static: %v %v", architecture, libraries, err)
	}
	// A path of the machine that built it would be another on the next.
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte(folder+"/")) {
		t.Errorf("the program for %s holds the path of its source, %s", architecture, folder)
	}
	if architecture != runtime.GOARCH || runtime.GOOS != "linux" {
		return
	}
	path := filepath.Join(t.TempDir(), shipped.name)
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	for flag, wanted := range map[string]string{"--version": shipped.name + " version " + version, "--help": shipped.help} {
		printed, err := exec.CommandContext(t.Context(), path, flag).CombinedOutput()
		if err != nil || !strings.Contains(string(printed), wanted) {
			t.Errorf("%s %s: %v: %s", shipped.name, flag, err, printed)
		}
	}
}

// checkSBOM reads the SBOM of an image, which ko pushes under a tag that is made of its digest.
func checkSBOM(t *testing.T, shipped program, repository string, digest v1.Hash) {
	t.Helper()
	image, err := remote.Image(reference(t, repository+":"+digest.Algorithm+"-"+digest.Hex+".sbom"))
	if err != nil {
		t.Errorf("no SBOM of %s: %v", digest, err)
		return
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("the SBOM of %s has %d layers: %v", digest, len(layers), err)
	}
	reader, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	var sbom struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct {
			Name string `json:"name"`
		} `json:"packages"`
	}
	if err := json.NewDecoder(reader).Decode(&sbom); err != nil {
		t.Fatalf("read the SBOM of %s: %v", digest, err)
	}
	names := map[string]bool{}
	for _, p := range sbom.Packages {
		names[p.Name] = true
	}
	if !strings.HasPrefix(sbom.SPDXVersion, "SPDX-") || !names[shipped.module] {
		t.Errorf("the SBOM of %s is %q and names %d packages", digest, sbom.SPDXVersion, len(names))
	}
}

// checkReferences reads what installs the release.
func checkReferences(t *testing.T, dist, image string) {
	t.Helper()
	install, err := os.ReadFile(filepath.Join(dist, "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(install, []byte("image: "+image+"\n")) || bytes.Contains(install, []byte("ko://")) {
		t.Errorf("install.yaml does not name %s alone", image)
	}
	chart := filepath.Join(dist, "devcontainer-image-cache-"+strings.TrimPrefix(version, "v")+".tgz")
	rendered := run(t, nil, filepath.Join(root, "bin", "helm"), "template", "imagecache", chart)
	if !strings.Contains(rendered, "image: "+image+"\n") {
		t.Errorf("the chart does not name %s", image)
	}
	if !strings.Contains(rendered, "app.kubernetes.io/version: \""+strings.TrimPrefix(version, "v")+"\"") {
		t.Errorf("the chart is not of version %s", version)
	}
	run(t, nil, "sh", "-c", "cd '"+dist+"' && sha256sum --check --strict SHA256SUMS")
}

// contents is a file of an image; a folder ends with a slash, and has none.
func contents(t *testing.T, image v1.Image, path string) []byte {
	t.Helper()
	reader := mutate.Extract(image)
	defer func() { _ = reader.Close() }()
	archive := tar.NewReader(reader)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.Errorf("the image has no %s", path)
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Trim(header.Name, "/") != strings.Trim(path, "/") {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// digestOfLayout is the digest of the one index in an OCI image layout.
func digestOfLayout(t *testing.T, folder string) v1.Hash {
	t.Helper()
	path, err := layout.FromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %d images", len(manifest.Manifests))
	}
	return manifest.Manifests[0].Digest
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run is what a program prints.
func run(t *testing.T, environment []string, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w: %s%s", filepath.Base(program), err, stdout.String(), stderr.String()))
	}
	return stdout.String()
}
