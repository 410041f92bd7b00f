package up

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"imagecache.dev/test/containerenv"
	"imagecache.dev/test/engine"
)

// The base images of the cases.
const (
	// baseImage has the users root, admin with the same IDs, and dev, and sets none.
	baseImage = "localhost/up-base:1"
	// devImage sets the user dev.
	devImage = "localhost/up-dev:1"
	// labelledImage has a label of its own.
	labelledImage = "localhost/up-labelled:1"
	// servingImage has an entry point and a command that stay.
	servingImage = "localhost/up-serving:1"
)

// ownLabel is what labelledImage says about its containers.
const ownLabel = `[{"id": "ghcr.io/example/tool:1", "onCreateCommand": "echo base tool >> log", "init": false},
{"remoteUser": "root", "remoteEnv": {"OF_BASE": "1", "BOTH": "base"}, "postCreateCommand": "echo base >> log",
"forwardPorts": [9000], "customizations": {"vscode": {"extensions": ["base.one"]}},
"containerEnv": {"IN_BASE": "${localEnv:UP_SET}"}, "waitFor": "onCreateCommand"}]`

// loadBases puts the base images into an engine's store.
func loadBases(t *testing.T, e *engine.Engine) {
	t.Helper()
	busybox, err := containerenv.FindBusybox()
	if err != nil {
		t.Fatal(err)
	}
	image, err := containerenv.BaseImage(busybox)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.AppendLayers(image, accounts(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*v1.Config){
		baseImage: func(*v1.Config) {},
		devImage:  func(c *v1.Config) { c.User = "dev" },
		labelledImage: func(c *v1.Config) {
			c.Labels = map[string]string{"devcontainer.metadata": ownLabel, "other": "label"}
		},
		servingImage: func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"sleep"}, []string{"100000"} },
	} {
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		file = file.DeepCopy()
		change(&file.Config)
		changed, err := mutate.ConfigFile(image, file)
		if err != nil {
			t.Fatal(err)
		}
		e.Load(t, changed, name)
	}
}

// accounts is a layer with more users.
func accounts(t *testing.T) v1.Layer {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(header tar.Header, content string) {
		header.Size = int64(len(content))
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644},
		"root:x:0:0:root:/root:/bin/sh\nadmin:x:0:0:admin:/root:/bin/sh\ndev:x:1000:1000:dev:/home/dev:/bin/sh\n")
	add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\ndev:x:1000:\n")
	add(tar.Header{Name: "home/dev/", Mode: 0o755, Uid: 1000, Gid: 1000, Typeflag: tar.TypeDir}, "")
	add(tar.Header{Name: "home/dev/.profile", Mode: 0o644, Uid: 1000, Gid: 1000}, "export FROM_PROFILE=yes\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
