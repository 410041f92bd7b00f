// Package enginetest gives tests a container engine with a store of their own
// and a small base image, or skips them where the machine has none.
package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/engine"
)

// Environment is an engine, a registry on loopback and a base image in it.
type Environment struct {
	Engine builder.Engine
	// Registry is the host and port of an in-process registry that the engine trusts.
	Registry string
	// Base is the reference of an image with busybox.
	Base string
}

// Start starts the usual engine of tests, which ends with the test. It changes environment variables, so the test can't
// be parallel.
func Start(t testing.TB) Environment {
	t.Helper()
	usual, err := engine.Usual()
	if err != nil {
		t.Skipf("SKIPPED: a real build needs an engine: %v", err)
	}
	return StartKind(t, usual)
}

// StartKind is Start with an engine of the tests' own. It skips the test where the engine was not built.
func StartKind(t testing.TB, kind engine.Kind) Environment {
	t.Helper()
	return start(t, func(host string) (builder.Engine, error) {
		engine.Start(t, kind, host).Use(t)
		return builder.Find(context.Background(), kind.Program())
	})
}

// start gives an engine, which find finds, the reference CLI and a registry, whose host and port find gets.
func start(t testing.TB, find func(host string) (builder.Engine, error)) Environment {
	t.Helper()
	UseCLI(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	engine, err := find(host)
	if err != nil {
		t.Skipf("a real build needs an engine: %v", err)
	}
	if err := engine.Ready(); err != nil {
		t.Skipf("a real build needs the reference CLI: %v", err)
	}
	e := Environment{Engine: engine, Registry: host, Base: host + "/base:1"}
	reference, err := name.NewTag(e.Base)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, BaseImage(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

// UseCLI leads the builder to the reference CLI that the repository pins, for
// the rest of the test, unless the environment names another one.
func UseCLI(t testing.TB) {
	t.Helper()
	if os.Getenv(builder.CLIVariable) != "" {
		return
	}
	if own := OwnCLI(); own != "" {
		t.Setenv(builder.CLIVariable, own)
	}
}

// OwnCLI is the reference CLI that the repository pins, if it is installed.
func OwnCLI() string {
	folder, err := os.Getwd()
	for err == nil && folder != filepath.Dir(folder) {
		cli := filepath.Join(folder, "hack/tools/devcontainer/node_modules/.bin/devcontainer")
		if _, statErr := os.Stat(cli); statErr == nil {
			return cli
		}
		folder = filepath.Dir(folder)
	}
	return ""
}

// BaseImage makes an image of one layer with a statically linked busybox, or
// skips the test where the machine has none.
func BaseImage(t testing.TB) v1.Image {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("a base image is made of busybox, and busybox is not on PATH")
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content := layer(t, binary)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Env = []string{"PATH=/bin"}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func layer(t testing.TB, busybox []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	write := func(header tar.Header, content []byte) {
		header.Size = int64(len(content))
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"bin/", "etc/", "tmp/"} {
		write(tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	write(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, busybox)
	write(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/:/bin/sh\n"))
	write(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:\n"))
	applets := "sh cat ls cp mkdir echo sleep id chmod chown rm grep cut sed env test tar touch find true stat sha256sum sort xargs readlink"
	for applet := range strings.FieldsSeq(applets) {
		write(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
