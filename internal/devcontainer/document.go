package devcontainer

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// maxNesting bounds objects and arrays within each other; the parser recurses.
const maxNesting = 200

var byteOrderMark = []byte("\ufeff")

// SyntaxError is a devcontainer.json that can't be used, with the place in it.
type SyntaxError struct {
	// Path of the file, as far as it is known.
	Path string
	// Line and Column begin at 1; Column counts bytes. 0 where no place can be told.
	Line, Column int
	// Message in lower case, without the place.
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("read %s: %s", e.Path, e.Message)
	}
	return fmt.Sprintf("read %s: line %d, column %d: %s", e.Path, e.Line, e.Column, e.Message)
}

// document is the syntax tree of a devcontainer.json: JSON with comments and
// trailing commas, as the reference implementation's parser takes it.
type document struct {
	path string
	text []byte
	root *hujson.Object
}

func parseDocument(name string, raw []byte) (*document, error) {
	// Node.js reads files with a byte order mark and with bytes that are not
	// UTF-8, the second as replacement characters; so does this.
	text := bytes.TrimPrefix(raw, byteOrderMark)
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	}
	d := &document{path: name, text: text}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, d.errorAt(0, "the file is empty: want a JSON object")
	}
	if offset, deep := nestedTooDeep(text); deep {
		return nil, d.errorAt(offset, "more than %d objects and arrays within each other", maxNesting)
	}
	// hujson wants a comment in the last line ended.
	value, err := hujson.Parse(append(slices.Clip(text), '\n'))
	if err != nil {
		return nil, d.syntaxError(err)
	}
	object, ok := value.Value.(*hujson.Object)
	if !ok {
		return nil, d.errorAt(value.StartOffset, "want a JSON object, found %s", kindOf(&value))
	}
	d.root = object
	return d, nil
}

// nestedTooDeep finds the place at which maxNesting is exceeded.
func nestedTooDeep(text []byte) (int, bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth++; depth > maxNesting {
				return i, true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"' && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			i += commentLength(text[i:])
		}
	}
	return 0, false
}

// commentLength returns how many bytes to go on from a slash, at most to the comment's last.
func commentLength(text []byte) int {
	ends := map[string]string{"//": "\n", "/*": "*/"}
	if len(text) < 2 {
		return 0
	}
	end, ok := ends[string(text[:2])]
	if !ok {
		return 0
	}
	length := bytes.Index(text[2:], []byte(end))
	if length < 0 {
		return len(text)
	}
	return 2 + length + len(end) - 1
}

// syntaxError takes the place out of hujson's message, which begins
// "hujson: line 1, column 2: ".
func (d *document) syntaxError(err error) error {
	result := &SyntaxError{Path: d.path, Message: strings.TrimPrefix(err.Error(), "hujson: ")}
	place, message, found := strings.Cut(result.Message, ": ")
	if !found {
		return result
	}
	line, column, found := strings.Cut(strings.TrimPrefix(place, "line "), ", column ")
	if !found {
		return result
	}
	var lineErr, columnErr error
	result.Line, lineErr = strconv.Atoi(line)
	result.Column, columnErr = strconv.Atoi(column)
	switch {
	case lineErr != nil || columnErr != nil:
		result.Line, result.Column = 0, 0
	case result.Line > bytes.Count(d.text, []byte("\n"))+1: // in the line feed that was added
		return d.errorAt(len(d.text), "%s", message)
	default:
		result.Message = message
	}
	return result
}

func (d *document) errorAt(offset int, format string, args ...any) error {
	before := d.text[:min(offset, len(d.text))]
	return &SyntaxError{
		Path:    d.path,
		Line:    bytes.Count(before, []byte("\n")) + 1,
		Column:  len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1,
		Message: fmt.Sprintf(format, args...),
	}
}

// member returns the last member of that name, as JavaScript does, or nil.
func member(object *hujson.Object, name string) *hujson.Value {
	if object == nil {
		return nil
	}
	for i := len(object.Members) - 1; i >= 0; i-- {
		if memberName(object.Members[i]) == name {
			return &object.Members[i].Value
		}
	}
	return nil
}

func memberName(m hujson.ObjectMember) string {
	literal, _ := m.Name.Value.(hujson.Literal)
	return literal.String()
}

func isNull(value *hujson.Value) bool {
	literal, ok := value.Value.(hujson.Literal)
	return ok && literal.Kind() == 'n'
}

func kindOf(value *hujson.Value) string {
	switch v := value.Value.(type) {
	case *hujson.Object:
		return "an object"
	case *hujson.Array:
		return "an array"
	case hujson.Literal:
		switch v.Kind() {
		case 'n':
			return "null"
		case 't', 'f':
			return "a boolean"
		case '0':
			return "a number"
		}
	}
	return "a string"
}
