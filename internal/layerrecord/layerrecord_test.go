package layerrecord_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/layerrecord"
)

func layer(n int) layerrecord.Layer {
	digest := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", n+1)}
	return layerrecord.Layer{DiffID: digest, Digest: digest, Size: 1, MediaType: "gzip", Pushed: digest, Used: time.Unix(int64(n), 0)}
}

func TestTheRecordKeepsWhatWasUsedLast(t *testing.T) {
	file := layerrecord.File{Path: filepath.Join(t.TempDir(), "state", "layers.json")}
	var layers []layerrecord.Layer
	for n := range 2100 {
		layers = append(layers, layer(n))
	}
	if err := file.Add(t.Context(), layers); err != nil {
		t.Fatal(err)
	}
	got := file.Read()
	if len(got) != 2000 || got[0].DiffID != layer(2099).DiffID || got[1999].DiffID != layer(100).DiffID {
		t.Errorf("%d layers, from %v", len(got), got[0])
	}
	changed := layer(2000)
	changed.Size = 7
	if err := file.Add(t.Context(), []layerrecord.Layer{changed}); err != nil {
		t.Fatal(err)
	}
	if err := file.Drop(t.Context(), layer(2001).DiffID); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, l := range file.Read() {
		switch l.DiffID {
		case changed.DiffID:
			found += int(l.Size)
		case layer(2001).DiffID:
			t.Error("a dropped layer is still there")
		}
	}
	if found != 7 {
		t.Errorf("the changed layer has size %d, want 7", found)
	}
}

func TestARecordThatCannotBeReadIsEmpty(t *testing.T) {
	file := layerrecord.File{Path: filepath.Join(t.TempDir(), "layers.json")}
	for _, content := range []string{"", "{", `[{"diffID":"sha256:x"}]`, `[{"size":3}]`} {
		if err := os.WriteFile(file.Path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := file.Read(); len(got) != 0 {
			t.Errorf("%q: %v", content, got)
		}
	}
	if err := file.Add(t.Context(), []layerrecord.Layer{layer(1)}); err != nil || len(file.Read()) != 1 {
		t.Errorf("Add over a broken file: %v, %v", err, file.Read())
	}
}
