package jsonc

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

const maxNumber = math.MaxFloat64

// token is the kind of a token. Tokens of one byte are that byte.
type token byte

const (
	tokenEnd     token = 0
	tokenString  token = '"'
	tokenNumber  token = '0'
	tokenLiteral token = 'l' // true, false or null
)

const byteOrderMark = "\ufeff"

// scanner takes a text apart. It works on bytes: outside of strings, each byte of a character beyond ASCII is one of a
// word, however the character is decoded.
type scanner struct {
	text []byte
	pos  int
	// fault is the first one found.
	fault *Fault

	// The current token, its offset, and its value without a place.
	token  token
	offset int
	value  Value
}

// next advances to the next token. It skips white space, comments and what is no token.
func (s *scanner) next() {
	for {
		s.offset = s.pos
		if s.pos >= len(s.text) {
			s.offset, s.token = len(s.text), tokenEnd
			return
		}
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
			continue
		case '{', '}', '[', ']', ':', ',':
			s.pos++
			s.token = token(c)
			return
		case '"':
			s.pos++
			s.token, s.value = tokenString, Value{Kind: String, text: s.scanString()}
			return
		case '/':
			s.skipComment()
			continue
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			if s.scanNumber() {
				return
			}
		default:
			if s.scanWord() {
				return
			}
		}
	}
}

func (s *scanner) skipComment() {
	rest := s.text[s.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
			s.pos += end
			return
		}
		s.pos = len(s.text)
	case bytes.HasPrefix(rest, []byte("/*")):
		if end := bytes.Index(rest[2:], []byte("*/")); end >= 0 {
			s.pos += 2 + end + 2
			return
		}
		s.fail(s.pos, "the comment has no end")
		s.pos = len(s.text)
	default:
		s.fail(s.pos, "unexpected /")
		s.pos++
	}
}

// scanNumber takes a number, or a minus sign without one, which is no token.
func (s *scanner) scanNumber() bool {
	start := s.pos
	if s.text[s.pos] == '-' {
		s.pos++
		if !s.atDigit() {
			s.fail(start, "unexpected -")
			return false
		}
	}
	if s.at('0') {
		s.pos++
	} else {
		s.skipDigits()
	}
	// end is where the number ends, which is before an exponent without digits.
	end := s.pos
	if s.at('.') {
		s.pos++
		hasDigits := s.atDigit()
		s.skipDigits()
		end = s.pos
		if !hasDigits {
			s.fail(start, "the number has no digits after its point")
			s.setNumber(s.text[start:end])
			return true
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.atDigit() {
			s.skipDigits()
			end = s.pos
		} else {
			s.fail(start, "the number has no digits in its exponent")
		}
	}
	s.setNumber(s.text[start:end])
	return true
}

func (s *scanner) setNumber(written []byte) {
	// The only possible error is a number out of range, for which ParseFloat returns an infinity, as JavaScript does.
	number, _ := strconv.ParseFloat(string(written), 64)
	s.token, s.value = tokenNumber, Value{Kind: Number, number: number}
}

func (s *scanner) at(c byte) bool {
	return s.pos < len(s.text) && s.text[s.pos] == c
}

func (s *scanner) atDigit() bool {
	return s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9'
}

func (s *scanner) skipDigits() {
	for s.atDigit() {
		s.pos++
	}
}

// scanWord takes true, false or null. Any other word is no token.
func (s *scanner) scanWord() bool {
	start := s.pos
	if end := bytes.IndexAny(s.text[start:], " \t\n\r{}[]\":,/"); end >= 0 {
		s.pos += end
	} else {
		s.pos = len(s.text)
	}
	switch word := string(s.text[start:s.pos]); word {
	case "null":
		s.value = Value{Kind: Null}
	case "true":
		s.value = Value{Kind: Boolean, number: 1}
	case "false":
		s.value = Value{Kind: Boolean}
	default:
		if start > 0 || word != byteOrderMark {
			s.fail(start, "unexpected word")
		}
		return false
	}
	s.token = tokenLiteral
	return true
}

// scanString takes what follows a quote, up to the next quote or to the end of the line.
func (s *scanner) scanString() string {
	var b []byte
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return string(b)
		case c == '\n', c == '\r':
			s.fail(s.offset, "the string has no end")
			return string(b)
		case c == '\\':
			s.pos++
			b = s.appendEscaped(b)
		case c < utf8.RuneSelf:
			if c < ' ' {
				s.fail(s.pos, "a control character in a string")
			}
			s.pos++
			b = append(b, c)
		default:
			character, size := decode(s.text[s.pos:])
			s.pos += size
			b = utf8.AppendRune(b, character)
		}
	}
	s.fail(s.offset, "the string has no end")
	return string(b)
}

// appendEscaped appends what an escape sequence stands for, the backslash being taken. An unknown one stands for
// nothing: the UTF-16 code unit after the backslash is dropped.
func (s *scanner) appendEscaped(b []byte) []byte {
	if s.pos >= len(s.text) {
		return b
	}
	start := s.pos - 1
	c := s.text[s.pos]
	if c >= utf8.RuneSelf {
		s.fail(start, "an unknown escape sequence")
		character, size := decode(s.text[s.pos:])
		s.pos += size
		if character > 0xffff {
			b = appendUnit(b, 0xdc00|character&0x3ff)
		}
		return b
	}
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		if unit, ok := s.scanHex(); ok {
			return appendUnit(b, unit)
		}
	}
	s.fail(start, "an unknown escape sequence")
	return b
}

// scanHex takes up to four hexadecimal digits, and returns their value if all four are there.
func (s *scanner) scanHex() (rune, bool) {
	start := s.pos
	for s.pos < len(s.text) && s.pos < start+4 && isHex(s.text[s.pos]) {
		s.pos++
	}
	value, err := strconv.ParseUint(string(s.text[start:s.pos]), 16, 16)
	return rune(value), err == nil && s.pos == start+4
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) fail(offset int, message string) {
	if s.fault == nil {
		s.fault = &Fault{Offset: offset, Message: message}
	}
}

// decode returns the first character of a text and its length. For bytes that are not UTF-8 it returns U+FFFD and the
// length of the longest beginning of a character, as https://encoding.spec.whatwg.org/#utf-8-decoder does. (Package
// utf8 counts one byte.)
func decode(text []byte) (rune, int) {
	character, size := utf8.DecodeRune(text)
	if character != utf8.RuneError || size != 1 {
		return character, size
	}
	first, length := text[0], 0
	lowest, highest := byte(0x80), byte(0xbf)
	switch {
	case first >= 0xc2 && first <= 0xdf:
		length = 2
	case first >= 0xe0 && first <= 0xef:
		length = 3
	case first >= 0xf0 && first <= 0xf4:
		length = 4
	}
	switch first {
	case 0xe0:
		lowest = 0xa0
	case 0xed:
		highest = 0x9f
	case 0xf0:
		lowest = 0x90
	case 0xf4:
		highest = 0x8f
	}
	for size < length && size < len(text) && text[size] >= lowest && text[size] <= highest {
		size++
		lowest, highest = 0x80, 0xbf
	}
	return utf8.RuneError, size
}
