package devcontainer

import (
	"bytes"
	"errors"
	"fmt"

	"imagecache.dev/internal/jsonc"
)

// maxNesting bounds objects and arrays within each other; the parser recurses.
const maxNesting = 200

var byteOrderMark = []byte("\ufeff")

// SyntaxError is a devcontainer.json that can't be used, with the place in it.
type SyntaxError struct {
	// Path of the file, as far as it is known.
	Path string
	// Line and Column begin at 1; Column counts bytes, without those of a byte order mark.
	Line, Column int
	// Message in lower case, without the place.
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("read %s: line %d, column %d: %s", e.Path, e.Line, e.Column, e.Message)
}

// document is the value of a devcontainer.json, as the reference implementation's parser reads it.
type document struct {
	path string
	text []byte
	root *jsonc.Value
	// fault is the first place that is not JSON with comments and trailing commas, nil where none is.
	fault *jsonc.Fault
}

func parseDocument(name string, raw []byte) (*document, error) {
	d := &document{path: name, text: raw}
	if len(bytes.TrimSpace(bytes.TrimPrefix(raw, byteOrderMark))) == 0 {
		return nil, d.errorAt(0, "the file is empty: want a JSON object")
	}
	root, fault, err := jsonc.Parse(raw, maxNesting)
	var tooDeep *jsonc.NestingError
	if errors.As(err, &tooDeep) {
		return nil, d.errorAt(tooDeep.Offset, "%v", err)
	}
	d.root, d.fault = &root, fault
	if root.Kind != jsonc.Object {
		return nil, d.errorAt(root.Offset, "want a JSON object, found %s", kindOf(&root))
	}
	return d, nil
}

func (d *document) errorAt(offset int, format string, args ...any) error {
	before := bytes.TrimPrefix(d.text[:min(offset, len(d.text))], byteOrderMark)
	return &SyntaxError{
		Path:    d.path,
		Line:    bytes.Count(before, []byte("\n")) + 1,
		Column:  len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1,
		Message: fmt.Sprintf(format, args...),
	}
}

func kindOf(value *jsonc.Value) string {
	switch value.Kind {
	case jsonc.Object:
		return "an object"
	case jsonc.Array:
		return "an array"
	case jsonc.String:
		return "a string"
	case jsonc.Number:
		return "a number"
	case jsonc.Boolean:
		return "a boolean"
	case jsonc.Null:
		return "null"
	default:
		return "no value"
	}
}
