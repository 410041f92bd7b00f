package provenance

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/imagelabel"
)

// TestManifestThatIsNotTheSignedOneIsRefused changes a signed manifest and leaves the digests in it as they are: so that
// one reader takes a list of layers that another does not, or so that an engine can't pull the image, or asks another
// server for it.
func TestManifestThatIsNotTheSignedOneIsRefused(t *testing.T) {
	key, record := newKey(t), example(2, 1)
	manifest, digest := signed(t, record, key)
	if _, err := NewVerifier(key.Key()).Verify(manifest, digest, record.Claims); err != nil {
		t.Fatal(err)
	}
	layer := `"digest":"` + record.Layers[0] + `"`
	field := `"` + imagelabel.Provenance + `":`
	for name, change := range map[string][2]string{
		"two lists":               {`{`, `{"layers":[],`},
		"another case":            {`{`, `{"Layers":[],`},
		"spaces":                  {`{`, `{ `},
		"another field":           {`{`, `{"blobs":[],`},
		"a subject":               {`{`, `{"subject":{"mediaType":"x","size":1,"digest":"` + record.Layers[0] + `"},`},
		"another size":            {`"size":1000,` + layer, `"size":1001,` + layer},
		"another media type":      {string(types.OCILayer), string(types.OCILayerZStd)},
		"another kind of image":   {string(types.OCIConfigJSON), "application/vnd.example+json"},
		"an address of a layer":   {layer, layer + `,"urls":["https://registry.example/blob"]`},
		"a layer's annotation":    {layer, layer + `,"annotations":{"` + imagelabel.UncompressedBytes + `":"1"}`},
		"an annotation":           {`"org.example":"x"`, `"org.example":"y"`},
		"an annotation is gone":   {`,"org.example":"x"`, ``},
		"the statement, escaped":  {field + `"{\"`, field + `"\u007b\"`},
		"a line in the statement": {field + `"`, field + "\"\n"},
		"an envelope before it":   {field, field + `"",` + field},
		"an envelope with more":   {`\"payload\":`, `\"more\":1,\"payload\":`},
		"an envelope with spaces": {`\"payload\":`, ` \"payload\":`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := strings.Replace(string(manifest), change[0], change[1], 1)
			if raw == string(manifest) {
				t.Fatalf("nothing changed in %s", raw)
			}
			_, err := NewVerifier(key.Key()).Verify([]byte(raw), ocidigest.FromString(raw).String(), record.Claims)
			if want := map[bool]error{true: ErrSignature, false: ErrForm}[strings.HasPrefix(name, "an envelope")]; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	key, record := newKey(f), example(2, 1)
	manifest, _ := signed(f, record, key)
	verifier := NewVerifier(key.Key())
	f.Add(manifest)
	f.Add([]byte(`{"annotations":{"dev.imagecache.provenance":"{}"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := verifier.Verify(raw, ocidigest.FromBytes(raw).String(), record.Claims)
		if err != nil {
			return
		}
		parsed, err := v1.ParseManifest(bytes.NewReader(raw))
		if err != nil || parsed.Config.Digest.String() != record.Config || len(parsed.Layers) != len(record.Layers) || found.Brief.Hash != record.Hash {
			t.Fatalf("another image is verified: %v, %s", err, raw)
		}
		for n, layer := range parsed.Layers {
			if layer.Digest.String() != record.Layers[n] || layer.Size != 1000 || len(layer.URLs) > 0 {
				t.Errorf("another image is verified: %s", raw)
			}
		}
	})
}
