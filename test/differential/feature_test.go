package differential

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// notedName is a Feature in the registry. The reference CLI speaks plain HTTP with the host localhost alone.
func (b *bases) notedName() string {
	_, port, _ := strings.Cut(b.host, ":")
	return "localhost:" + port + "/features/noted:1"
}

// provideFeature puts a Feature with two contents into the registry, as artifacts are made of Features:
// https://containers.dev/implementors/features-distribution/#oci-registry
func (b *bases) provideFeature(t *testing.T) {
	t.Helper()
	tag, err := name.NewTag(b.notedName())
	if err != nil {
		t.Fatal(err)
	}
	// BuildKit takes a file of the same size and time for the one that it has.
	for n, says := range []string{"one", "the other"} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for name, content := range map[string]string{
			"devcontainer-feature.json": `{"id": "noted", "version": "1.0.0", "name": "Noted"}`,
			"install.sh":                fmt.Sprintf("#!/bin/sh\necho %s >/noted\n", says),
		} {
			header := tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
			if err := w.WriteHeader(&header); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write([]byte(content))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer := static.NewLayer(archive.Bytes(), "application/vnd.devcontainers.layer.v1+tar")
		artifact, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
		if err != nil {
			t.Fatal(err)
		}
		artifact = mutate.ConfigMediaType(artifact, "application/vnd.devcontainers")
		if err := remote.Write(tag, artifact); err != nil {
			t.Fatal(err)
		}
		digest, err := artifact.Digest()
		if err != nil {
			t.Fatal(err)
		}
		b.noted[n] = digest.String()
	}
}
