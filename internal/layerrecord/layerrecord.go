// Package layerrecord keeps which blob this machine made of a layer, so that a layer that was published need not be
// taken out of an engine again. It is a note, and no proof: whoever uses it has the registry confirm that it has the
// blob.
package layerrecord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/filelock"
	"imagecache.dev/internal/statefolder"
)

// maxLayers bounds the file: about 1 MB. The layers that were used longest ago go first.
const maxLayers = 2000

// Layer is a layer whose blob was made here, of content that was compared with the diff ID.
type Layer struct {
	DiffID v1.Hash `json:"diffID"`
	// Digest, Size and MediaType are those of the published blob. PlainSize is its size when it is decompressed, 0 if
	// that is not known.
	Digest    v1.Hash `json:"digest"`
	Size      int64   `json:"size"`
	MediaType string  `json:"mediaType"`
	PlainSize int64   `json:"plainSize,omitempty"`
	// Pushed is the digest of the blob that the engine gave, by which it knows the layer; the diff ID for an engine that
	// names layers by that.
	Pushed v1.Hash `json:"pushed"`
	// Encoder made the blob: another one makes other bytes of the same layer. It is empty of a blob of the engine's own.
	Encoder string `json:"encoder,omitempty"`
	// Used is when the layer was published last.
	Used time.Time `json:"used"`
}

// File is where the layers are kept.
type File struct{ Path string }

// UserFile is among this user's state.
func UserFile() (File, error) {
	path, err := statefolder.Path("layers.json")
	return File{path}, err
}

// Read returns all layers. A file that does not exist, or that this version can't read, has none.
func (f File) Read() []Layer {
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return nil
	}
	var layers []Layer
	if json.Unmarshal(content, &layers) != nil {
		return nil
	}
	return slices.DeleteFunc(layers, func(l Layer) bool {
		return l.DiffID.Hex == "" || l.Digest.Hex == "" || l.Pushed.Hex == "" || l.Size <= 0
	})
}

// Add adds layers, in place of what the file has about the same diff IDs in the same media types, by whatever encoder.
func (f File) Add(ctx context.Context, layers []Layer) error {
	return f.change(ctx, func(kept []Layer) []Layer {
		kept = slices.DeleteFunc(kept, func(l Layer) bool {
			return slices.ContainsFunc(layers, func(added Layer) bool {
				return added.DiffID == l.DiffID && added.MediaType == l.MediaType
			})
		})
		return append(kept, layers...)
	})
}

// Drop removes what the file has about a layer.
func (f File) Drop(ctx context.Context, diffID v1.Hash) error {
	return f.change(ctx, func(kept []Layer) []Layer {
		return slices.DeleteFunc(kept, func(l Layer) bool { return l.DiffID == diffID })
	})
}

// change writes the file anew, while no other process does.
func (f File) change(ctx context.Context, change func([]Layer) []Layer) (err error) {
	folder := filepath.Dir(f.Path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("record layers: %w", err)
	}
	unlock, err := filelock.Lock(ctx, f.Path+".lock", filelock.Exclusive, nil)
	if err != nil {
		return fmt.Errorf("record layers: %w", err)
	}
	defer unlock()
	layers := change(f.Read())
	slices.SortStableFunc(layers, func(a, b Layer) int { return cmp.Compare(b.Used.Unix(), a.Used.Unix()) })
	content, err := json.Marshal(layers[:min(len(layers), maxLayers)])
	if err != nil {
		return fmt.Errorf("record layers: %w", err)
	}
	// A name that a killed process left is used again.
	next := f.Path + ".new"
	if err := errors.Join(ignoreMissing(os.Remove(next)), os.WriteFile(next, content, 0o600)); err != nil {
		return fmt.Errorf("record layers: %w", err)
	}
	if err := os.Rename(next, f.Path); err != nil {
		return fmt.Errorf("record layers: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
