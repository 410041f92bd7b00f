package jsonc

import (
	"fmt"
	"slices"
)

// Fault is a place at which a text is not JSON with comments and trailing commas. The parser goes on behind it.
type Fault struct {
	// Offset in the text, in bytes.
	Offset int
	// Message in lower case, without the place.
	Message string
}

// NestingError says that objects and arrays are nested too deep.
type NestingError struct {
	// Offset of the first bracket that is too deep, in bytes.
	Offset int
	// Max is the largest depth that is read.
	Max int
}

func (e *NestingError) Error() string {
	return fmt.Sprintf("more than %d objects and arrays within each other", e.Max)
}

// Parse returns the value of a text, of Kind Undefined where the text has none, and the first fault, nil where the text
// has none. The only error is a *NestingError, for more than maxNesting objects and arrays within each other.
//
// Bytes that are not UTF-8 count as U+FFFD. A byte order mark is skipped, like any other word that is no literal.
func Parse(text []byte, maxNesting int) (Value, *Fault, error) {
	p := &parser{scanner: scanner{text: text}, maxNesting: maxNesting}
	p.next()
	root, found := p.value()
	if p.tooDeep != nil {
		return Value{}, nil, p.tooDeep
	}
	switch {
	case !found:
		root.Offset = p.offset
		p.fail(p.offset, "a value is missing")
	case p.token != tokenEnd:
		p.fail(p.offset, "something follows the value")
	}
	return root, p.fault, nil
}

type parser struct {
	scanner
	depth, maxNesting int
	tooDeep           error
}

// value takes the value that begins with the current token, if one does.
func (p *parser) value() (Value, bool) {
	switch p.token {
	case '{', '[':
		return p.nested(), true
	case tokenString, tokenNumber, tokenLiteral:
		value := p.scanner.value
		value.Offset = p.offset
		p.next()
		return value, true
	default:
		return Value{}, false
	}
}

// nested takes an object or an array, unless it is too deep: then the rest of the text is skipped.
func (p *parser) nested() Value {
	if p.depth == p.maxNesting {
		p.tooDeep = &NestingError{Offset: p.offset, Max: p.maxNesting}
		p.pos = len(p.text)
		p.next()
		return Value{}
	}
	p.depth++
	defer func() { p.depth-- }()
	if p.token == '{' {
		return p.object()
	}
	return p.array()
}

func (p *parser) object() Value {
	object := &members{Value: Value{Kind: Object, Offset: p.offset}}
	p.items('}', func() { p.member(object) })
	sortMembers(object.Members)
	return object.Value
}

func (p *parser) array() Value {
	array := Value{Kind: Array, Offset: p.offset}
	p.items(']', func() {
		if element, found := p.value(); found {
			array.Elements = append(array.Elements, element)
		} else {
			p.skipItem("a value is missing", ']')
		}
	})
	return array
}

// items takes an opening bracket, items and the closing bracket. Commas between items may be missing. A comma at which
// an item is wanted stands for an item that is missing.
func (p *parser) items(end token, item func()) {
	start := p.offset
	p.next()
	for first := true; p.token != end && p.token != tokenEnd; first = false {
		switch {
		case p.token == ',':
			if first {
				p.fail(p.offset, "a comma before the first item")
			}
			p.next()
			if p.token == end { // a trailing comma
				continue
			}
		case !first:
			p.fail(p.offset, "a comma is missing")
		}
		item()
	}
	if p.token == tokenEnd {
		p.fail(start, "the bracket is not closed")
	}
	p.next()
}

func (p *parser) member(object *members) {
	if p.token != tokenString {
		p.skipItem("a name in double quotes is missing", '}')
		return
	}
	name := p.scanner.value.text
	p.next()
	if p.token != ':' {
		p.skipItem("a colon is missing", '}')
		return
	}
	p.next()
	value, found := p.value()
	if !found {
		p.skipItem("a value is missing", '}')
		return
	}
	object.set(name, value)
}

// skipItem skips to the next comma or closing bracket, brackets of other kinds and their contents included.
func (p *parser) skipItem(fault string, end token) {
	p.fail(p.offset, fault)
	for p.token != ',' && p.token != end && p.token != tokenEnd {
		p.next()
	}
}

// members is an object that is being read.
type members struct {
	Value
	// index of each name, made when there are many.
	index map[string]int
}

// set sets a property. Setting "__proto__" sets what the object inherits from, which is not in the value:
// https://tc39.es/ecma262/#sec-object.prototype.__proto__
func (m *members) set(name string, value Value) {
	if name == "__proto__" && !m.plain {
		m.plain = value.Kind == Null || value.Kind == Object && value.plain
		return
	}
	if i := m.find(name); i >= 0 {
		m.Members[i].Value = value
		return
	}
	if m.index != nil {
		m.index[name] = len(m.Members)
	}
	m.Members = append(m.Members, Member{name: name, Value: value})
}

// find returns the place of a name, or -1.
func (m *members) find(name string) int {
	const many = 16
	if len(m.Members) < many {
		return slices.IndexFunc(m.Members, func(member Member) bool { return member.name == name })
	}
	if m.index == nil {
		m.index = make(map[string]int, 2*many)
		for i := range m.Members {
			m.index[m.Members[i].name] = i
		}
	}
	if i, found := m.index[name]; found {
		return i
	}
	return -1
}
