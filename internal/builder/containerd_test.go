package builder

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/savedimage"
)

// savedByContainerd is what "docker save" writes with the containerd image store: an OCI layout whose index has the image
// and BuildKit's attestation, and a manifest.json that names the image's own blobs:
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
func savedByContainerd(t *testing.T, image v1.Image) []byte {
	t.Helper()
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	add := func(content []byte) v1.Descriptor {
		digest, size, err := v1.SHA256(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		files["blobs/sha256/"+digest.Hex] = content
		return v1.Descriptor{Digest: digest, Size: size}
	}
	encoded := func(value any) []byte {
		content, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	var layers []string
	content, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range content {
		compressed, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		var blob bytes.Buffer
		if _, err := blob.ReadFrom(compressed); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, "blobs/sha256/"+add(blob.Bytes()).Digest.Hex)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	built := add(manifest)
	built.MediaType, built.Platform = types.OCIManifestSchema1, &v1.Platform{OS: "linux", Architecture: "amd64"}
	statement := add([]byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	statement.MediaType = "application/vnd.in-toto+json"
	attestation := add(encoded(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: add([]byte(`{"architecture":"unknown","os":"unknown"}`)), Layers: []v1.Descriptor{statement}}))
	attestation.MediaType, attestation.Platform = types.OCIManifestSchema1, &v1.Platform{OS: "unknown", Architecture: "unknown"}
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": built.Digest.String()}
	index := add(encoded(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{built, attestation}}))
	index.MediaType = types.OCIImageIndex
	files["index.json"] = encoded(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{index}})
	files["manifest.json"] = encoded([]map[string]any{{"Config": "blobs/sha256/" + add(config).Digest.Hex, "RepoTags": []string{"x:1"}, "Layers": layers}})

	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for name, content := range files {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestAnIndexWithAnAttestationIsUnwrapped(t *testing.T) {
	built, err := random.Image(10_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	built = mutate.MediaType(built, types.OCIManifestSchema1)
	saved, err := savedimage.ReadArchive(t.Context(), bytes.NewReader(savedByContainerd(t, built)), t.TempDir(), compression.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(saved); err != nil {
		t.Error(err)
	}
	manifest, err := saved.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := built.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.Digest != want.Config.Digest || len(manifest.Layers) != len(want.Layers) {
		t.Fatalf("manifest %+v, want that of one image with the configuration %s", manifest, want.Config.Digest)
	}
	for i, layer := range manifest.Layers {
		if layer.Digest != want.Layers[i].Digest {
			t.Errorf("layer %s, want %s: what was compressed stays", layer.Digest, want.Layers[i].Digest)
		}
	}
}

// Layers are ended while later ones are read: their order must come from the manifest, and an error must not be lost.
func TestArchiveThatBreaksOffIsAnError(t *testing.T) {
	built, err := random.Image(100_000, 4)
	if err != nil {
		t.Fatal(err)
	}
	archive := savedByContainerd(t, built)
	for _, part := range []int{1, 3} {
		if _, err := savedimage.ReadArchive(t.Context(), bytes.NewReader(archive[:len(archive)*part/4]), t.TempDir(), compression.Gzip); err == nil {
			t.Errorf("%s of an archive is read as all of it", fmt.Sprintf("%d/4", part))
		}
	}
}
