package relay

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/internal/compression"
	"imagecache.dev/internal/imagelabel"
)

func hashOf(digit string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}
}

// TestPlanIsTheTableOfTheDocumentation holds the table in docs/builders.md.
func TestPlanIsTheTableOfTheDocumentation(t *testing.T) {
	const plain = "without compression"
	const published = "as published"
	for _, row := range []struct {
		store      Store
		held       bool
		zstd, gzip string
	}{
		{PodmanStore, false, published, plain},
		{PodmanStore, true, plain, plain},
		{GraphStore, false, plain, plain},
		{ContainerdStore, false, published, published},
		{UnknownStore, false, published, published},
	} {
		for mediaType, want := range map[types.MediaType]string{
			types.OCILayerZStd: row.zstd, types.OCILayer: row.gzip, types.DockerLayer: row.gzip,
			types.OCIUncompressedLayer: published,
		} {
			got := published
			if decompresses(row.store, mediaType, row.held) {
				got = plain
			}
			if got != want {
				t.Errorf("store %q gets %s %s, want %s (it has the layer: %t)", row.store, mediaType, got, want, row.held)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	noted := func(bytes string) map[string]string { return map[string]string{imagelabel.UncompressedBytes: bytes} }
	config := v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: hashOf("c"), Size: 7}
	inZstd := v1.Descriptor{MediaType: types.OCILayerZStd, Digest: hashOf("1"), Size: 100, Annotations: noted("400")}
	inGzip := v1.Descriptor{MediaType: types.OCILayer, Digest: hashOf("2"), Size: 200, Annotations: noted("500")}
	inZstdToo := v1.Descriptor{MediaType: types.OCILayerZStd, Digest: hashOf("5"), Size: 100, Annotations: noted("450")}
	unknown := v1.Descriptor{MediaType: types.OCILayer, Digest: hashOf("3"), Size: 300}
	wrong := v1.Descriptor{MediaType: types.OCILayer, Digest: hashOf("4"), Size: 300, Annotations: noted("many")}
	plain := func(digit string, size int64) v1.Descriptor {
		return v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: hashOf(digit), Size: size}
	}
	as := func(d v1.Descriptor) blob { return blob{published: d, served: d} }
	for name, test := range map[string]struct {
		store   Store
		held    int
		layers  []v1.Descriptor
		diffIDs []v1.Hash
		want    []blob
	}{
		"a store that unpacks": {
			GraphStore, 0, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), {inZstd, plain("a", 400), compression.Zstd}, {inGzip, plain("b", 500), compression.Gzip}},
		},
		"a store that keeps blobs": {
			ContainerdStore, 0, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), as(inZstd), as(inGzip)},
		},
		"a store that finds layers by diff IDs and has the lowest": {
			PodmanStore, 1, []v1.Descriptor{inZstd, inZstdToo, inGzip}, []v1.Hash{hashOf("a"), hashOf("d"), hashOf("b")},
			[]blob{as(config), {inZstd, plain("a", 400), compression.Zstd}, as(inZstdToo), {inGzip, plain("b", 500), compression.Gzip}},
		},
		"a layer of unknown size": {
			GraphStore, 0, []v1.Descriptor{unknown, inZstd}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), as(unknown), {inZstd, plain("b", 400), compression.Zstd}},
		},
		"a size that is no number": {
			GraphStore, 0, []v1.Descriptor{wrong}, []v1.Hash{hashOf("a")}, []blob{as(config), as(wrong)},
		},
		"diff IDs of another image": {
			GraphStore, 0, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a")}, []blob{as(config), as(inZstd), as(inGzip)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			manifest := v1.Manifest{
				SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: test.layers,
				Annotations: map[string]string{imagelabel.Hash: "of the published image"},
			}
			raw, err := json.Marshal(manifest)
			if err != nil {
				t.Fatal(err)
			}
			got, err := plan(raw, &manifest, test.diffIDs, test.store, test.held)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.blobs, cmp.AllowUnexported(blob{})); diff != "" {
				t.Error(diff)
			}
			changed := false
			want := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config}
			for _, b := range test.want[1:] {
				want.Layers = append(want.Layers, b.served)
				changed = changed || b.format != ""
			}
			if !changed {
				want = manifest
			}
			var offered v1.Manifest
			if err := json.Unmarshal(got.manifest, &offered); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, offered); diff != "" {
				t.Error(diff)
			}
		})
	}
}
