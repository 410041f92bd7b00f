package jsonc

import (
	"encoding/json"
	"testing"
)

// FuzzParse reads whatever bytes: every value lies in the text, the tree is no larger than the text, and what
// AppendJSON writes is JSON and leads to the same value again.
func FuzzParse(f *testing.F) {
	for _, text := range append(append([]string{}, realistic...), fragments...) {
		f.Add([]byte(text))
	}
	for _, test := range tolerated {
		f.Add([]byte(test.text))
	}
	const maxNesting = 50
	f.Fuzz(func(t *testing.T, text []byte) {
		value, fault, err := Parse(text, maxNesting)
		if err != nil {
			return
		}
		if fault != nil && (fault.Offset < 0 || fault.Offset > len(text) || fault.Message == "") {
			t.Errorf("the fault is %+v in %d bytes", fault, len(text))
		}
		if count := check(t, &value, len(text), maxNesting); count > len(text)+1 {
			t.Errorf("%d values in %d bytes", count, len(text))
		}
		if value.Kind == Undefined {
			return
		}
		written := value.AppendJSON(nil)
		if !json.Valid(written) {
			t.Fatalf("%s is not JSON", written)
		}
		again, fault, err := Parse(written, maxNesting)
		if err != nil || fault != nil {
			t.Fatalf("%s: fault %v, error %v", written, fault, err)
		}
		if rewritten := again.AppendJSON(nil); !hasPrototype(&value) && string(rewritten) != string(written) {
			t.Errorf("%s, want %s", rewritten, written)
		}
	})
}

// check returns the number of values.
func check(t *testing.T, value *Value, length, depth int) int {
	t.Helper()
	if value.Offset < 0 || value.Offset > length || depth < 0 {
		t.Errorf("a value at %d of %d bytes, depth left %d", value.Offset, length, depth)
	}
	count := 1
	for i := range value.Elements {
		count += check(t, &value.Elements[i], length, depth-1)
	}
	names := map[string]bool{}
	for i := range value.Members {
		if names[value.Members[i].name] {
			t.Errorf("two members %q", value.Members[i].name)
		}
		names[value.Members[i].name] = true
		count += check(t, &value.Members[i].Value, length, depth-1)
	}
	return count
}

// hasPrototype reports whether a name "__proto__" is in the tree, which another reading takes as another thing.
func hasPrototype(value *Value) bool {
	for i := range value.Elements {
		if hasPrototype(&value.Elements[i]) {
			return true
		}
	}
	for i := range value.Members {
		if value.Members[i].name == "__proto__" || hasPrototype(&value.Members[i].Value) {
			return true
		}
	}
	return false
}
