package jsonc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// tolerated are texts with their values and first faults: jsonc-parser's liberties, one by one.
var tolerated = map[string]struct {
	text  string
	want  string // "undefined", or as JSON.stringify writes it
	fault string // the message, "" for none
	at    int
}{
	"comments":        {text: "// a\n{/* \" */\"a\"/**/:/***/1// }\r}", want: `{"a":1}`},
	"trailing commas": {text: `{"a": [1, 2,],}`, want: `{"a":[1,2]}`},
	"a missing comma": {text: `{"a": 1 "b": [1 2]}`, want: `{"a":1,"b":[1,2]}`,
		fault: "a comma is missing", at: 8},
	"a tab in a string": {text: "{\"a\": \"x\ty\"}", want: `{"a":"x\ty"}`,
		fault: "a control character in a string", at: 8},
	"a control character": {text: "[\"\x00\x1f\"]", want: `["\u0000\u001f"]`,
		fault: "a control character in a string", at: 2},
	"a string to the end of the line": {text: "{\"a\": \"x\n\"b\": 1}", want: `{"a":"x","b":1}`,
		fault: "the string has no end", at: 6},
	"a string to the end": {text: `{"a": "x`, want: `{"a":"x"}`,
		fault: "the string has no end", at: 6},
	"a backslash at the end": {text: `"x\`, want: `"x"`, fault: "the string has no end"},
	"a backslash before a line feed": {text: "\"x\\\ny\"", want: `"xy"`,
		fault: "an unknown escape sequence", at: 2},
	"unknown escapes": {text: `"\q\x41"`, want: `"41"`,
		fault: "an unknown escape sequence", at: 1},
	"a short Unicode escape": {text: `"\u12g\u"`, want: `"g"`,
		fault: "an unknown escape sequence", at: 1},
	"half of an escaped character": {text: `"\😀"`, want: `"\ude00"`,
		fault: "an unknown escape sequence", at: 1},
	"surrogates": {text: `"\ud83d\ude00 \ude00\ud83d"`, want: `"😀 \ude00\ud83d"`},
	"joined surrogates": {text: `"\ud83d\😀"`, want: `"😀"`,
		fault: "an unknown escape sequence", at: 7},
	"a missing colon": {text: `{"a" 1, "b": 2}`, want: `{"b":2}`,
		fault: "a colon is missing", at: 5},
	"a missing value": {text: `{"a": , "b": }`, want: `{}`,
		fault: "a value is missing", at: 6},
	"a missing value keeps the first": {text: `{"a": 1, "a": x}`, want: `{"a":1}`,
		fault: "unexpected word", at: 14},
	"missing elements": {text: `[,1,,2]`, want: `[1,2]`,
		fault: "a comma before the first item", at: 1},
	"a missing name": {text: `{1: 2, "a": 3}`, want: `{"a":3}`,
		fault: "a name in double quotes is missing", at: 1},
	"a name without quotes": {text: `{a: 1, "b": 2}`, want: `{"b":2}`,
		fault: "unexpected word", at: 1},
	"single quotes": {text: `{'a': 'b', "c": 'd'}`, want: `{}`,
		fault: "unexpected word", at: 1},
	"words are skipped": {text: `oops {"a" yes: true false, "b": nulls 1}`, want: `{"a":true,"b":1}`,
		fault: "unexpected word"},
	"a slash and a minus sign": {text: `[/ 1, - 2, -x 3]`, want: `[1,2,3]`,
		fault: "unexpected /", at: 1},
	"brackets of the wrong kind": {text: `{"a": [1, 2}, "b": 3]`, want: `{"a":[1,2,"b"]}`,
		fault: "a comma is missing", at: 11},
	"what is skipped has no depth": {text: `{"a" {"b": 1, "c": 2}, "d": 3}`, want: `{"c":2}`,
		fault: "a colon is missing", at: 5},
	"brackets that stay open": {text: `{"a": [{"b": 1`, want: `{"a":[{"b":1}]}`,
		fault: "the bracket is not closed", at: 7},
	"a comment without an end": {text: `{"a": 1} /* {`, want: `{"a":1}`,
		fault: "the comment has no end", at: 9},
	"what follows the value": {text: `{"a": 1} {"a": 2}`, want: `{"a":1}`,
		fault: "something follows the value", at: 9},
	"numbers": {text: `[1.50, -0, 1E3, 1e21, 1e-7, 1e999, 123456789012345678901234567890]`,
		want: `[1.5,0,1000,1e+21,1e-7,null,1.2345678901234568e+29]`},
	"numbers that end early": {text: `[1., 2e, 3e+, -4.x]`, want: `[1,2,3,-4]`,
		fault: "the number has no digits after its point", at: 1},
	"a leading zero": {text: `{"a": [01], "b": 01}`, want: `{"a":[0,1],"b":0}`,
		fault: "a comma is missing", at: 8},
	"the last of equal names": {text: `{"a": 1, "b": 2, "a": 3}`, want: `{"a":3,"b":2}`},
	"names that are indexes": {text: `{"b": 0, "10": 1, "9": 2, "01": 3, "4294967295": 4}`,
		want: `{"9":2,"10":1,"b":0,"01":3,"4294967295":4}`},
	"the prototype":              {text: `{"__proto__": {"a": 1}, "b": 2}`, want: `{"b":2}`},
	"the prototype that is null": {text: `{"__proto__": null, "__proto__": 1}`, want: `{"__proto__":1}`},
	"the prototype's prototype":  {text: `{"__proto__": {"__proto__": null}, "__proto__": 1}`, want: `{"__proto__":1}`},
	"a byte order mark":          {text: "\ufeff{}", want: `{}`},
	"bytes that are not UTF-8": {text: "[\"\xff\xff\", \"\xe2\x82\", \"\xed\xa0\x80\", \"\xf0\x9f\x98\xff\"]",
		want: `["��","�","���","��"]`},
	"white space beyond ASCII": {text: "{\"a\": 1,\u00a0\"b\": 2}", want: `{"a":1,"b":2}`,
		fault: "unexpected word", at: 8},
	"an empty text": {text: "", want: "undefined", fault: "a value is missing"},
	"comments alone": {text: "// a\n", want: "undefined",
		fault: "a value is missing", at: 5},
	"a text that begins with '}'": {text: ` } {"a": 1}`, want: "undefined",
		fault: "a value is missing", at: 1},
	"a word alone": {text: "oops", want: "undefined", fault: "unexpected word"},
}

func TestParseToleratesWhatTheReferenceParserTolerates(t *testing.T) {
	for name, test := range tolerated {
		t.Run(name, func(t *testing.T) {
			value, fault, err := Parse([]byte(test.text), 10)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(value.AppendJSON(nil)); got != test.want {
				t.Errorf("Parse(%q): %s, want %s", test.text, got, test.want)
			}
			if fault == nil {
				fault = &Fault{}
			}
			if want := (Fault{Offset: test.at, Message: test.fault}); *fault != want {
				t.Errorf("Parse(%q): fault %+v, want %+v", test.text, *fault, want)
			}
		})
	}
}

func TestValuesKnowTheirOffsets(t *testing.T) {
	value, _, err := Parse([]byte("\ufeff {\"a\": [\"\xff\", \"b\"], \"c\": x 1}"), 10)
	if err != nil {
		t.Fatal(err)
	}
	for name, offset := range map[string]int{"a": 10, "c": 29} {
		if got := value.Member(name).Offset; got != offset {
			t.Errorf("%s is at %d, want %d", name, got, offset)
		}
	}
	if got := value.Member("a").Elements[1].Offset; value.Offset != 4 || got != 16 {
		t.Errorf("the object is at %d, the second element at %d, want 4 and 16", value.Offset, got)
	}
}

func TestStringIsWhatJavaScriptMakesOfAValue(t *testing.T) {
	for text, want := range map[string]string{
		"true": "true", "null": "null", "1.0": "1", "-0": "0", "-1e999": "-Infinity", `"a"`: "a", `"\ud83d"`: "\ufffd",
		`[1, [null, "a"], {}, null]`: "1,,a,[object Object],", "{}": "[object Object]", "[]": "", "": "undefined",
	} {
		value, _, err := Parse([]byte(text), 10)
		if got := value.String(); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestTruthyIsWhatJavaScriptTakesAsTrue(t *testing.T) {
	for text, want := range map[string]bool{
		"true": true, "false": false, "null": false, "0": false, "-0": false, "0.1": true, `""`: false, `"0"`: true,
		"[]": true, "{}": true, "": false,
	} {
		value, _, err := Parse([]byte(text), 10)
		if got := value.Truthy(); err != nil || got != want {
			t.Errorf("%s: %t, %v, want %t", text, got, err, want)
		}
	}
}

func TestParseBoundsTheNesting(t *testing.T) {
	for text, want := range map[string]int{
		`{"a": [1], "b": [2]}`: -1, `{"a": [1], "b": [{}]}`: 17, strings.Repeat("[", 1<<20): 2, `["[[[", 1] [[[[`: -1,
	} {
		_, _, err := Parse([]byte(text), 2)
		var tooDeep *NestingError
		if !errors.As(err, &tooDeep) {
			tooDeep = &NestingError{Offset: -1}
		}
		if tooDeep.Offset != want {
			t.Errorf("Parse(%.30q): %v at %d, want an error at %d", text, err, tooDeep.Offset, want)
		}
	}
}

// TestParseTakesLinearTime reads at length what may be expensive. Quadratic time would be minutes.
func TestParseTakesLinearTime(t *testing.T) {
	const size = 1 << 18
	names, indexes := &strings.Builder{}, &strings.Builder{}
	names.WriteByte('{')
	indexes.WriteByte('{')
	for i := size; indexes.Len() < size; i-- {
		fmt.Fprintf(names, `"x%d":1,`, i)
		fmt.Fprintf(indexes, `"%d":1,`, i)
	}
	texts := map[string]string{"names": names.String(), "indexes": indexes.String()}
	for _, unit := range []string{
		"/*", "//", "/", "\"", "\"\\", "\\u", "-", "1", "1 ", "1e", "x", "x ", "[]", "{}", ",", ":", "{,",
		"\"a\":", "\"\xff", "{\"a\"", "[1,", "\xf0", "é",
	} {
		for _, start := range []string{"", "{", "[", "[\"", "{\"a\":[", "/*"} {
			texts[start+unit+" …"] = start + strings.Repeat(unit, size/len(unit))
		}
	}
	for name, text := range texts {
		start := time.Now()
		_, _, _ = Parse([]byte(text), 200)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %s for %d bytes", name, took, len(text))
		}
	}
}
