// Command reasons writes docs/troubleshooting.md: every reason that a condition can have, and what its reader does, from
// the comments of the API's constants.
//
//	reasons api/v1alpha1/conditions.go docs/troubleshooting.md
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

const head = `# Troubleshooting

Look at the object first: the reason is a column of ` + "`kubectl get imagecache`" + `, and ` + "`kubectl describe`" + ` has the
sentence that goes with it. ` + "`imagecache doctor`" + ` checks a whole runner, and ` + "`imagecache explain`" + ` one request.

This page is generated from the API's source: every reason that a condition can have, and what to do about it.
`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reasons CONDITIONS.go OUTPUT.md")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "reasons:", err)
		os.Exit(1)
	}
}

func run(source, output string) error {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("read constants: %w", err)
	}
	var page bytes.Buffer
	page.WriteString(head)
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		title, rest, _ := strings.Cut(strings.TrimSpace(group.Doc.Text()), ". ")
		fmt.Fprintf(&page, "\n## %s\n", strings.TrimSuffix(title, "."))
		if rest = oneLine(rest); rest != "" {
			fmt.Fprintf(&page, "\n%s\n", rest)
		}
		page.WriteString("\n| name | meaning, and what to do |\n|---|---|\n")
		for _, spec := range group.Specs {
			if err := writeRow(&page, spec.(*ast.ValueSpec)); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(output, page.Bytes(), 0o644); err != nil { //nolint:gosec // documentation is for everybody
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// writeRow writes one constant: its value, and its comment without the name that begins it.
func writeRow(page *bytes.Buffer, spec *ast.ValueSpec) error {
	name := spec.Names[0].Name
	value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
	text := oneLine(spec.Doc.Text())
	meaning, found := strings.CutPrefix(text, name)
	if !found {
		return fmt.Errorf("the comment of %s does not begin with its name", name)
	}
	meaning = strings.TrimLeft(meaning, ": ")
	if meaning == "" {
		return fmt.Errorf("the comment of %s says nothing", name)
	}
	fmt.Fprintf(page, "| `%s` | %s |\n", value, strings.ToUpper(meaning[:1])+meaning[1:])
	return nil
}

func oneLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
