package publication

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	layerDigest    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

var expected = Expectation{Hash: strings.Repeat("ab", 32), HashVersion: 1, UID: "uid-1", Platform: "linux/amd64"}

// object is JSON in the making.
type object = map[string]any

// reportOf makes a report that is accepted, but for what edit changes in the configuration and, after the configuration's
// digest was taken over, in the manifest.
func reportOf(t *testing.T, editConfig, editManifest func(object)) Report {
	t.Helper()
	config := object{
		"os": "linux", "architecture": "amd64",
		"config": object{"Labels": object{
			imagelabel.Hash: expected.Hash, imagelabel.Version: "1", imagelabel.UID: expected.UID, imagelabel.BuildSeconds: "225",
		}},
		"rootfs": object{"type": "layers", "diff_ids": []string{layerDigest}},
	}
	if editConfig != nil {
		editConfig(config)
	}
	report := Report{Config: marshal(t, config)}
	manifest := object{
		"schemaVersion": 2, "mediaType": dockerManifest,
		"config": object{"mediaType": dockerConfig, "digest": ocidigest.FromBytes(report.Config).String(), "size": len(report.Config)},
		"layers": []object{{"mediaType": dockerLayer, "digest": layerDigest, "size": 1000}},
	}
	if editManifest != nil {
		editManifest(manifest)
	}
	report.Manifest = marshal(t, manifest)
	return report
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCheckDescribesAnImage(t *testing.T) {
	report := reportOf(t, nil, nil)
	image, rejection := Check(report, expected)
	if rejection != nil {
		t.Fatal(rejection)
	}
	want := &Image{
		Digest: ocidigest.FromBytes(report.Manifest).String(), Manifest: report.Manifest, MediaType: dockerManifest,
		Blobs:     []string{ocidigest.FromBytes(report.Config).String(), layerDigest},
		BlobBytes: map[string]int64{ocidigest.FromBytes(report.Config).String(): int64(len(report.Config)), layerDigest: 1000},
		SizeBytes: int64(len(report.Config)) + 1000, BuildSeconds: 225,
	}
	if diff := cmp.Diff(want, image); diff != "" {
		t.Error(diff)
	}
}

func TestCheckNamesABlobOnce(t *testing.T) {
	report := reportOf(t,
		func(config object) { config["rootfs"] = object{"diff_ids": []string{layerDigest, layerDigest}} },
		func(manifest object) {
			layer := object{"mediaType": dockerLayer, "digest": layerDigest, "size": 1000}
			manifest["layers"] = []object{layer, layer}
		})
	image, rejection := Check(report, expected)
	if rejection != nil {
		t.Fatal(rejection)
	}
	if len(image.Blobs) != 2 || image.SizeBytes != int64(len(report.Config))+2000 {
		t.Errorf("blobs %v, %d bytes", image.Blobs, image.SizeBytes)
	}
}

func TestCheckRejects(t *testing.T) {
	label := func(name, value string) func(object) {
		return func(config object) { config["config"].(object)["Labels"].(object)[name] = value }
	}
	layer := func(edit func(object)) func(object) {
		return func(manifest object) { edit(manifest["layers"].([]object)[0]) }
	}
	for name, test := range map[string]struct {
		report Report
		want   Problem
	}{
		"no JSON":             {Report{Manifest: []byte("{"), Config: []byte("{}")}, ManifestInvalid},
		"empty":               {Report{}, ManifestInvalid},
		"schema version 1":    {reportOf(t, nil, func(m object) { m["schemaVersion"] = 1 }), ManifestInvalid},
		"an index":            {reportOf(t, nil, func(m object) { m["manifests"] = []object{} }), IndexNotSupported},
		"an index by type":    {reportOf(t, nil, func(m object) { m["mediaType"] = "application/vnd.oci.image.index.v1+json" }), IndexNotSupported},
		"no media type":       {reportOf(t, nil, func(m object) { delete(m, "mediaType") }), MediaTypeNotSupported},
		"an artifact":         {reportOf(t, nil, func(m object) { m["config"].(object)["mediaType"] = "application/vnd.example+json" }), MediaTypeNotSupported},
		"another config":      {reportOf(t, nil, func(m object) { m["config"].(object)["digest"] = layerDigest }), ConfigDigestMismatch},
		"another config size": {reportOf(t, nil, func(m object) { m["config"].(object)["size"] = 7 }), ConfigDigestMismatch},
		"layer with URLs":     {reportOf(t, nil, layer(func(l object) { l["urls"] = []string{"https://registry.example/blob"} })), ForeignLayer},
		"foreign layer": {reportOf(t, nil, layer(func(l object) {
			l["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		})), ForeignLayer},
		"layer of another type": {reportOf(t, nil, layer(func(l object) { l["mediaType"] = "text/plain" })), MediaTypeNotSupported},
		"huge layer":            {reportOf(t, nil, layer(func(l object) { l["size"] = int64(MaxLayerBytes) + 1 })), TooLarge},
		"negative layer":        {reportOf(t, nil, layer(func(l object) { l["size"] = -1 })), TooLarge},
		"too many layers": {reportOf(t, nil, func(m object) {
			var layers []object
			for range MaxLayers + 1 {
				layers = append(layers, m["layers"].([]object)[0])
			}
			m["layers"] = layers
		}), TooLarge},
		"layers and diff IDs differ": {reportOf(t, func(c object) { c["rootfs"] = object{"diff_ids": []string{}} }, nil), ManifestInvalid},
		"other architecture":         {reportOf(t, func(c object) { c["architecture"] = "arm64" }, nil), WrongPlatform},
		"other system":               {reportOf(t, func(c object) { c["os"] = "windows" }, nil), WrongPlatform},
		"label of another hash":      {reportOf(t, label(imagelabel.Hash, strings.Repeat("cd", 32)), nil), LabelMismatch},
		"label of another version":   {reportOf(t, label(imagelabel.Version, "2"), nil), LabelMismatch},
		"label of another request":   {reportOf(t, label(imagelabel.UID, "uid-2"), nil), LabelMismatch},
		"no build seconds":           {reportOf(t, label(imagelabel.BuildSeconds, ""), nil), LabelMismatch},
		"negative build seconds":     {reportOf(t, label(imagelabel.BuildSeconds, "-1"), nil), LabelMismatch},
		"annotation of the cache's": {reportOf(t, nil, func(m object) {
			m["annotations"] = object{"org.example": "", imagelabel.Inputs: "[]"}
		}), ManifestInvalid},
		"layer with an annotation of the cache's": {reportOf(t, nil, layer(func(l object) {
			l["annotations"] = object{"org.example": "", imagelabel.Inputs: "[]"}
		})), ManifestInvalid},
		"layer with a negative size": {reportOf(t, nil, layer(func(l object) {
			l["annotations"] = object{imagelabel.UncompressedBytes: "-1"}
		})), ManifestInvalid},
		"layer with a size that is no number": {reportOf(t, nil, layer(func(l object) {
			l["annotations"] = object{imagelabel.UncompressedBytes: "1e3"}
		})), ManifestInvalid},
		"manifest over its bound": {reportOf(t, nil, func(m object) { m["padding"] = strings.Repeat("x", MaxManifestBytes) }), TooLarge},
		"config over its bound":   {reportOf(t, func(c object) { c["padding"] = strings.Repeat("x", MaxConfigBytes) }, nil), TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			image, rejection := Check(test.report, expected)
			if rejection == nil {
				t.Fatalf("accepted as %+v", image)
			}
			if rejection.Problem != test.want || rejection.Message == "" {
				t.Errorf("rejected as %s: %s; want %s", rejection.Problem, rejection.Message, test.want)
			}
		})
	}
}

func TestCheckPlatformTakesAVariantWhereOneIsAskedFor(t *testing.T) {
	report := reportOf(t, func(c object) { c["architecture"], c["variant"] = "arm64", "v8" }, nil)
	for platform, accepted := range map[string]bool{"linux/arm64": true, "linux/arm64/v8": true, "linux/arm64/v9": false, "linux/arm": false} {
		want := expected
		want.Platform = platform
		if _, rejection := Check(report, want); (rejection == nil) != accepted {
			t.Errorf("%s: rejection %v", platform, rejection)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+dockerManifest+`"}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		image, rejection := Check(Report{Manifest: manifest, Config: config}, expected)
		if (image == nil) == (rejection == nil) {
			t.Errorf("neither or both: %+v, %v", image, rejection)
		}
		if image != nil && image.Digest != ocidigest.FromBytes(manifest).String() {
			t.Errorf("digest %s of other bytes", image.Digest)
		}
	})
}
