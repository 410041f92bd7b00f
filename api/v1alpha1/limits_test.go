package v1alpha1

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// markersOf returns the markers of a struct's field, with a line each.
func markersOf(t *testing.T, file, kind, field string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var doc *ast.CommentGroup
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok || spec.Name.Name != kind {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			if len(f.Names) == 1 && f.Names[0].Name == field {
				doc = f.Doc
			}
		}
		return false
	})
	if doc == nil {
		t.Fatalf("%s has no %s.%s with markers", file, kind, field)
	}
	var markers strings.Builder
	for _, comment := range doc.List {
		markers.WriteString(comment.Text + "\n")
	}
	return markers.String()
}

func TestConstantsAreThoseOfTheMarkers(t *testing.T) {
	message := fmt.Sprintf("// +kubebuilder:validation:MaxLength=%d\n", MaxMessage)
	for _, test := range []struct{ file, kind, field, marker string }{
		{"report_types.go", "BuildReport", "Message", message},
		{"report_types.go", "PullReport", "Message", message},
		{"devcontainerimage_types.go", "DevcontainerImageStatus", "Explanation", message},
	} {
		if markers := markersOf(t, test.file, test.kind, test.field); !strings.Contains(markers, test.marker) {
			t.Errorf("%s.%s has no marker %q, but\n%s", test.kind, test.field, test.marker, markers)
		}
	}
}
