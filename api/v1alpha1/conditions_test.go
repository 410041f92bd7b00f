package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sentence ends where a full stop is followed by a space or nothing.
var sentence = regexp.MustCompile(`\.(\s|$)`)

// reasonForm is what a condition takes as its reason.
var reasonForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// TestReasonsSayWhatToDo holds that each reason and condition is documented, a reason with what it means and what its
// reader does about it.
func TestReasonsSayWhatToDo(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "conditions.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec)
			name := constant.Names[0].Name
			value, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if !reasonForm.MatchString(value) || !strings.HasSuffix(name, value) {
				t.Errorf("%s is %q", name, value)
			}
			if other, known := values[value]; known && strings.HasPrefix(name, "Reason") && strings.HasPrefix(other, "Reason") {
				t.Errorf("%s and %s are both %q", name, other, value)
			}
			values[value] = name
			text := constant.Doc.Text()
			if !strings.HasPrefix(text, name) {
				t.Errorf("%s: its comment begins otherwise: %q", name, text)
			}
			if strings.HasPrefix(name, "Reason") && len(sentence.FindAllString(text, -1)) < 2 {
				t.Errorf("%s: its comment doesn't say what the reader does: %q", name, text)
			}
		}
	}
	if len(values) < 50 {
		t.Errorf("found %d constants", len(values))
	}
}
