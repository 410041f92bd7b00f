package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pushFeature puts a Feature into a registry of its own, as an OCI artifact:
// https://containers.dev/implementors/features-distribution/#oci-registry
// The reference CLI speaks plain HTTP with a registry called localhost alone.
func pushFeature(t *testing.T, metadata, install string) (reference string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	for file, text := range map[string]string{"devcontainer-feature.json": metadata, "install.sh": install} {
		if err := archive.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.devcontainers")
	artifact, err = mutate.AppendLayers(artifact, static.NewLayer(content.Bytes(), "application/vnd.devcontainers.layer.v1+tar"))
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("localhost:" + port + "/features/tool:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, artifact); err != nil {
		t.Fatal(err)
	}
	return tag.String()
}

func TestImageWithFeatureFromARegistry(t *testing.T) {
	reference := pushFeature(t, `{"id": "tool", "version": "1.0.0", "name": "tool"}`, "#!/bin/sh\nset -e\necho fetched > /tool\n")
	folder := workspace(t, map[string]string{
		".devcontainer.json": `{"image": "busybox:stable", "features": {"` + reference + `": {}}} // ` + t.Name(),
	})
	wants(t, newMachine(t).prepare(folder, "oci-feature-1"), codePublished)
	m := newMachine(t)
	hit := m.prepare(folder, "oci-feature-2", "-o", "name")
	wants(t, hit, codeHit)
	if shown := m.client("run", "--rm", "--network=host", strings.TrimSpace(hit.stdout), "cat", "/tool"); strings.TrimSpace(shown.stdout) != "fetched" {
		t.Errorf("the pulled image has not what the Feature installed: %v", shown)
	}
}
