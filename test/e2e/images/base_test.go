package images

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// baseIndex is a base image as a static Go program that calls AWS needs it, for two platforms: certificate authorities, a
// user without rights, and a folder for temporary files. ko's own default has the same, and some more.
func baseIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	server.Close()

	var index v1.ImageIndex = empty.Index
	for _, architecture := range []string{"amd64", "arm64"} {
		layer := layerOf(t, []*tar.Header{
			{Name: "etc/passwd", Mode: 0o644}, {Name: "etc/group", Mode: 0o644},
			{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644}, {Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir},
		}, "root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n", "root:x:0:\nnonroot:x:65532:\n", string(authority), "")
		image, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		file = file.DeepCopy()
		file.OS, file.Architecture = "linux", architecture
		file.Config.User = "65532"
		file.Config.Env = []string{"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}
		if image, err = mutate.ConfigFile(image, file); err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return index
}

// layerOf is a layer with the files of headers, whose contents follow in the same order.
func layerOf(t *testing.T, headers []*tar.Header, contents ...string) v1.Layer {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for i, header := range headers {
		header.Size = int64(len(contents[i]))
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, contents[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
