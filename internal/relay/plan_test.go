package relay

import (
	"context"
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
	finds := func(context.Context, []v1.Hash) (int, error) { return 0, nil }
	for engine, row := range map[string]struct {
		client     Client
		held       bool
		zstd, gzip string
	}{
		"podman, the layers that it has":            {Client{Held: finds, WithoutZstd: true}, true, plain, plain},
		"podman, the others":                        {Client{Held: finds, WithoutZstd: true}, false, plain, published},
		"a graph driver of Docker before 23.0":      {Client{Held: finds, WithoutZstd: true}, false, plain, published},
		"a graph driver of Docker":                  {Client{Held: finds}, false, published, published},
		"containerd, and a store that is not known": {Client{}, false, published, published},
	} {
		for mediaType, want := range map[types.MediaType]string{
			types.OCILayerZStd: row.zstd, types.OCILayer: row.gzip, types.DockerLayer: row.gzip,
			types.OCIUncompressedLayer: published,
		} {
			got := published
			if row.client.decompresses(mediaType, row.held) {
				got = plain
			}
			if got != want {
				t.Errorf("%s: %s is handed out %s, want %s", engine, mediaType, got, want)
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
		client  Client
		held    int
		layers  []v1.Descriptor
		diffIDs []v1.Hash
		want    []blob
	}{
		"an engine without zstd": {
			Client{WithoutZstd: true}, 0, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), {inZstd, plain("a", 400), compression.Zstd}, as(inGzip)},
		},
		"an engine that reads all": {
			Client{}, 0, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), as(inZstd), as(inGzip)},
		},
		"an engine that has the lowest": {
			Client{}, 2, []v1.Descriptor{inGzip, inZstd, inZstdToo}, []v1.Hash{hashOf("b"), hashOf("a"), hashOf("d")},
			[]blob{as(config), {inGzip, plain("b", 500), compression.Gzip}, {inZstd, plain("a", 400), compression.Zstd}, as(inZstdToo)},
		},
		"a layer of unknown size": {
			Client{WithoutZstd: true}, 0, []v1.Descriptor{unknown, inZstd}, []v1.Hash{hashOf("a"), hashOf("b")},
			[]blob{as(config), as(unknown), {inZstd, plain("b", 400), compression.Zstd}},
		},
		"a size that is no number": {
			Client{}, 2, []v1.Descriptor{wrong}, []v1.Hash{hashOf("a")}, []blob{as(config), as(wrong)},
		},
		"diff IDs of another image": {
			Client{}, 2, []v1.Descriptor{inZstd, inGzip}, []v1.Hash{hashOf("a")}, []blob{as(config), as(inZstd), as(inGzip)},
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
			got, err := plan(raw, &manifest, test.diffIDs, test.client, test.held)
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
