package jsonc

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the type of a value.
type Kind uint8

const (
	// Undefined is the kind of the root of a text without a value.
	Undefined Kind = iota
	// Null is the kind of null.
	Null
	// Boolean is the kind of true and false.
	Boolean
	// Number is the kind of a number.
	Number
	// String is the kind of a string.
	String
	// Array is the kind of an array.
	Array
	// Object is the kind of an object.
	Object
)

// Value is a node of the tree that Parse returns.
type Value struct {
	Kind Kind
	// Offset of the value's first byte in the text.
	Offset int
	// Elements of an Array.
	Elements []Value
	// Members of an Object, each name once: names that are array indexes first, in ascending order, then the others in
	// the order in which each was first written.
	Members []Member

	// text of a String, in the form that appendUnit describes.
	text string
	// number of a Number; of a Boolean, 1 for true.
	number float64
	// plain says of an Object that "__proto__" is a name like any other, because it does not inherit from JavaScript's
	// Object.prototype any more.
	plain bool
}

// Member is a property of an object.
type Member struct {
	Value Value
	name  string
}

// Name returns the member's name in UTF-8, as Value.Text returns a string.
func (m *Member) Name() string {
	return toUTF8(m.name)
}

// NewMember returns a member with a name in UTF-8.
func NewMember(name string, value Value) Member {
	return Member{name: name, Value: value}
}

// NewString returns a string, with U+FFFD for what is not UTF-8.
func NewString(text string) Value {
	return Value{Kind: String, text: strings.ToValidUTF8(text, "\ufffd")}
}

// Member returns the object's member of that name, or nil. Other kinds have no members.
func (v *Value) Member(name string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.Members {
		if v.Members[i].name == name {
			return &v.Members[i].Value
		}
	}
	return nil
}

// Merge returns an object with the members of all objects, as JavaScript's {...first, ...second} does: of equal names
// the last counts, at the place of the first. Other kinds, and nil, have no members.
func Merge(objects ...*Value) Value {
	merged := members{Value: Value{Kind: Object, plain: true}}
	for _, object := range objects {
		if object == nil {
			continue
		}
		for _, member := range object.Members {
			merged.set(member.name, member.Value)
		}
	}
	sortMembers(merged.Members)
	return merged.Value
}

// Text returns a String's text in UTF-8, with U+FFFD for a surrogate that stands alone, as Node.js passes it to a
// program. It returns "" for other kinds.
func (v *Value) Text() string {
	return toUTF8(v.text)
}

// Truthy reports whether JavaScript takes the value as true in a condition.
func (v *Value) Truthy() bool {
	if v == nil {
		return false
	}
	switch v.Kind {
	case Undefined, Null:
		return false
	case Boolean, Number:
		return v.number != 0
	case String:
		return v.text != ""
	default:
		return true
	}
}

// String returns what JavaScript's String(value) returns, in UTF-8.
func (v *Value) String() string {
	switch v.Kind {
	case Undefined:
		return "undefined"
	case Null:
		return "null"
	case Boolean:
		return strconv.FormatBool(v.number != 0)
	case Number:
		return formatNumber(v.number)
	case String:
		return v.Text()
	case Array:
		return JoinElements(v.Elements, (*Value).String)
	default:
		return "[object Object]"
	}
}

// JoinElements joins elements as JavaScript's String(array) does: with commas, and null as nothing. Each other element
// is written by format.
func JoinElements(elements []Value, format func(*Value) string) string {
	texts := make([]string, len(elements))
	for i := range elements {
		if elements[i].Kind != Null {
			texts[i] = format(&elements[i])
		}
	}
	return strings.Join(texts, ",")
}

// formatNumber writes a number as https://tc39.es/ecma262/#sec-numeric-types-number-tostring does.
func formatNumber(number float64) string {
	switch {
	case number == 0:
		return "0" // minus zero, too
	case number > maxNumber:
		return "Infinity"
	case number < -maxNumber:
		return "-Infinity"
	}
	magnitude := max(number, -number)
	if magnitude >= 1e-6 && magnitude < 1e21 {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(number, 'e', -1, 64), "e")
	// Go writes at least two digits of an exponent.
	return mantissa + "e" + exponent[:1] + strings.TrimPrefix(exponent[1:], "0")
}

// AppendJSON appends what JavaScript's JSON.stringify(value) returns. A surrogate that stands alone is escaped.
func (v *Value) AppendJSON(b []byte) []byte {
	switch v.Kind {
	case String:
		return appendJSONString(b, v.text)
	case Array:
		b = append(b, '[')
		for i := range v.Elements {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.Elements[i].AppendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i := range v.Members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, v.Members[i].name), ':')
			b = v.Members[i].Value.AppendJSON(b)
		}
		return append(b, '}')
	case Number:
		if max(v.number, -v.number) > maxNumber {
			return append(b, "null"...)
		}
	}
	return append(b, v.String()...)
}

var shortEscapes = map[byte]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

func appendJSONString(b []byte, text string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(text); i++ {
		character := text[i]
		if letter, found := shortEscapes[character]; found {
			b = append(b, '\\', letter)
			continue
		}
		if character < 0x20 {
			b = append(b, '\\', 'u', '0', '0', digits[character>>4], digits[character&15])
			continue
		}
		if unit, lone := loneSurrogate(text[i:]); lone {
			b = append(b, '\\', 'u', digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
			i += 2
			continue
		}
		b = append(b, character)
	}
	return append(b, '"')
}

// sortMembers moves array indexes to the front: https://tc39.es/ecma262/#sec-ordinaryownpropertykeys
func sortMembers(members []Member) {
	if !slices.ContainsFunc(members, func(m Member) bool { _, is := arrayIndex(m.name); return is }) {
		return
	}
	slices.SortStableFunc(members, func(a, b Member) int {
		first, isFirst := arrayIndex(a.name)
		second, isSecond := arrayIndex(b.name)
		switch {
		case isFirst && isSecond && first < second, isFirst && !isSecond:
			return -1
		case isFirst && isSecond, isSecond:
			return 1
		default:
			return 0
		}
	})
}

// arrayIndex returns the array index that a name is: https://tc39.es/ecma262/#array-index
func arrayIndex(name string) (uint64, bool) {
	if name == "" || len(name) > 10 || name[0] < '0' || name[0] > '9' || name[0] == '0' && name != "0" {
		return 0, false
	}
	index, err := strconv.ParseUint(name, 10, 64)
	return index, err == nil && index < 1<<32-1
}

// The strings of this package hold a surrogate that stands alone in the three bytes that UTF-8 would have for it
// (https://simonsapin.github.io/wtf-8/), so that names which differ in such surrogates differ. Nowhere else in them is
// anything that is not UTF-8.

// appendUnit appends a UTF-16 code unit. A low surrogate joins a high one before it.
func appendUnit(b []byte, unit rune) []byte {
	const highest = 0xdbff
	if unit < 0xd800 || unit > 0xdfff {
		return utf8.AppendRune(b, unit)
	}
	if unit > highest && len(b) >= 3 {
		if high, lone := loneSurrogate(string(b[len(b)-3:])); lone && high <= highest {
			return utf8.AppendRune(b[:len(b)-3], 0x10000+(high-0xd800)<<10+(unit-0xdc00))
		}
	}
	return append(b, 0xed, 0x80|byte(unit>>6&0x3f), 0x80|byte(unit&0x3f))
}

// loneSurrogate returns the surrogate at the beginning of text.
func loneSurrogate(text string) (rune, bool) {
	if len(text) < 3 || text[0] != 0xed || text[1] < 0xa0 {
		return 0, false
	}
	return 0xd000 | rune(text[1]&0x3f)<<6 | rune(text[2]&0x3f), true
}

func toUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	b := []byte(text)
	for i := range b {
		if _, lone := loneSurrogate(text[i:min(i+3, len(text))]); lone {
			copy(b[i:], "\ufffd")
		}
	}
	return string(b)
}
