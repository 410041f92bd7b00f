package publication

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// asOCI changes a reported manifest to OCI's format.
func asOCI(manifest object) {
	manifest["mediaType"] = ociManifest
	manifest["config"].(object)["mediaType"] = ociConfig
	manifest["layers"].([]object)[0]["mediaType"] = ociLayer + "+gzip"
}

func TestPublishedManifestIsOCI(t *testing.T) {
	withLayer := func(mediaType string) func(object) {
		return func(m object) { m["layers"].([]object)[0]["mediaType"] = mediaType }
	}
	for name, test := range map[string]struct {
		reported func(object)
		layer    string
	}{
		"reported by an older runner":            {nil, ociLayer + "+gzip"},
		"reported with an uncompressed layer":    {withLayer("application/vnd.docker.image.rootfs.diff.tar"), ociLayer},
		"reported in OCI's format":               {asOCI, ociLayer + "+gzip"},
		"reported with a layer in zstd":          {withLayer(ociLayer + "+zstd"), ociLayer + "+zstd"},
		"reported with an annotated description": {func(m object) { m["config"].(object)["annotations"] = object{"a": "b"} }, ociLayer + "+gzip"},
		"reported with sizes": {func(m object) {
			m["layers"].([]object)[0]["annotations"] = object{imagelabel.UncompressedBytes: "2000"}
		}, ociLayer + "+gzip"},
		"reported as a referrer": {func(m object) {
			m["subject"] = object{"mediaType": ociManifest, "digest": layerDigest, "size": 2}
		}, ociLayer + "+gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			report := reportOf(t, nil, test.reported)
			image, rejection := Check(report, expected)
			if rejection != nil {
				t.Fatal(rejection)
			}
			published, err := image.Annotate(Origin{Hash: expected.Hash})
			if err != nil {
				t.Fatal(err)
			}
			want := marshal(t, object{
				"schemaVersion": 2, "mediaType": ociManifest,
				"config": object{"mediaType": ociConfig, "digest": ocidigest.FromBytes(report.Config).String(), "size": len(report.Config)},
				"layers": []object{{"mediaType": test.layer, "digest": layerDigest, "size": 1000}},
			})
			if name == "reported with sizes" {
				want = marshal(t, object{
					"schemaVersion": 2, "mediaType": ociManifest,
					"config": object{"mediaType": ociConfig, "digest": ocidigest.FromBytes(report.Config).String(), "size": len(report.Config)},
					"layers": []object{{
						"mediaType": test.layer, "digest": layerDigest, "size": 1000,
						"annotations": object{imagelabel.UncompressedBytes: "2000"},
					}},
				})
			}
			if diff := cmp.Diff(decoded(t, want), decoded(t, published.Manifest)); diff != "" {
				t.Error(diff)
			}
			if published.MediaType != ociManifest || published.Digest != ocidigest.FromBytes(published.Manifest).String() {
				t.Errorf("published as %s %s", published.MediaType, published.Digest)
			}
			if diff := cmp.Diff(image.Blobs, published.Blobs); diff != "" {
				t.Errorf("other blobs: %s", diff)
			}
		})
	}
}

func decoded(t *testing.T, content []byte) (value object) {
	t.Helper()
	if err := json.Unmarshal(content, &value); err != nil {
		t.Fatal(err)
	}
	return value
}
