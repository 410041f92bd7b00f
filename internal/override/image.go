package override

import (
	"bytes"
	"encoding/json"

	"imagecache.dev/internal/jsonc"
)

// Image is an image in an engine's store.
type Image struct {
	// Name in the store.
	Name string
	// Metadata is the value of its label devcontainer.metadata, empty if it has none.
	Metadata string
	// User is the user of its configuration, empty for root.
	User string
	// ServiceUser is the user that Docker Compose gives the container, empty if none.
	ServiceUser string
}

// maxNesting limits objects and arrays within each other in a label.
const maxNesting = 200

// entries returns the objects of the label. As in the reference CLI, one object counts as an array of one, and a label
// that is not JSON as none.
func (i Image) entries() []jsonc.Value {
	if !json.Valid([]byte(i.Metadata)) {
		return nil
	}
	root, _, err := jsonc.Parse([]byte(i.Metadata), maxNesting)
	switch {
	case err != nil:
		return nil
	case root.Kind == jsonc.Array:
		return root.Elements
	case root.Kind == jsonc.Object:
		return []jsonc.Value{root}
	}
	return nil
}

// equal reports whether two values are the same JSON.
func equal(a, b *jsonc.Value) bool {
	return a != nil && b != nil && bytes.Equal(a.AppendJSON(nil), b.AppendJSON(nil))
}
