package compose

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// doubling is a file of variables in which each one is written twice in the next.
func doubling(first string, steps int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "A0=%s\n", first)
	for n := range steps {
		fmt.Fprintf(&b, "A%d=${A%d}${A%d}\n", n+1, n, n)
	}
	return b.String()
}

func TestVariablesThatDoubleAreRefused(t *testing.T) {
	const want = "its variables refer to each other, and would take more than 4 MiB; shorten them"
	variables := map[string]string{"BIG": strings.Repeat("b", 100_000)}
	many := func(text string, times int) string { return strings.Repeat(text, times) }
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":                              {map[string]string{}, ""},
		"a chain":                           {map[string]string{".env": "A=" + many("a", 1000) + "\n" + many("A=$A/x\n", 100)}, ""},
		"doubled a little":                  {map[string]string{".env": doubling("a", 12)}, ""},
		"doubled":                           {map[string]string{".env": doubling("a", 60)}, want},
		"doubled under one name":            {map[string]string{".env": "A=a\n" + many("A=$A$A\n", 40)}, want},
		"doubled in quotes, over lines":     {map[string]string{".env": "A=a\n" + many("A=\"$A\n# x=$A\"\n", 40)}, want},
		"a dollar as a number":              {map[string]string{".env": "A=a\n" + many("A=\"\\0044A\\0044A\"\n", 40)}, want},
		"in single quotes, which nothing":   {map[string]string{".env": "A=a\nB='$A$A'\n"}, ""},
		"a default":                         {map[string]string{".env": "A=a\n" + many("A=${X:-$A$A}\n", 40)}, want},
		"exported, and like YAML":           {map[string]string{".env": "export A: a\n" + many("export A: $A$A\n", 40)}, want},
		"a large one of the machine":        {map[string]string{".env": "A=" + many("$BIG", 50)}, want},
		"over files, in the wrong order":    {map[string]string{"a/.env": "B=" + many("$A", 100), "b/.env": "A=" + many("a", 100_000)}, want},
		"a comment, and nothing after it":   {map[string]string{".env": "# A=$A$A\nB"}, ""},
		"what Docker Compose does not take": {map[string]string{".env": "A=\"a"}, ""},
	} {
		files := map[string][]byte{}
		for file, contents := range test.files {
			files[file] = []byte(contents)
		}
		sizes := variableSizes{lookupEnv: lookupIn(variables)}
		said := ""
		if err := sizes.check(files); err != nil {
			said = err.Error()
		}
		if said != test.want {
			t.Errorf("%s: %q, want %q", name, said, test.want)
		}
	}
}

func TestProjectsWhoseVariablesGrowAreRefused(t *testing.T) {
	long := strings.Repeat("x", 500_000)
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"in .env": {map[string]string{"compose.yml": "services: {app: {image: \"${A60}\"}}", ".env": doubling("a", 60)},
			"read .env: its variables refer to each other, and would take more than 4 MiB; shorten them"},
		"in .env of an include": {map[string]string{"compose.yml": "include: [sub/a.yml]\nservices: {app: {image: b}}", "sub/a.yml": "services: {}", "sub/.env": doubling("a", 60)},
			"read sub/.env: its variables refer to each other, and would take more than 4 MiB; shorten them"},
		"in a Compose file": {map[string]string{"compose.yml": "services: {app: {image: \"" + strings.Repeat("$A", 400) + "\"}}", ".env": "A=" + long},
			"what takes the place of variables would take more than 64 MiB; use shorter variables, or fewer"},
	} {
		_, err := load(t, workspaceWith(t, app, test.files), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.300v, want %q", name, err, test.want)
		}
	}
}

// FuzzVariableSizes compares with what compose-go makes of a file: no value is longer than the size that bounds it.
func FuzzVariableSizes(f *testing.F) {
	for _, seed := range []string{
		"A=a\nB=$A$A\n", "export A: \"a\n# $A\" # x\nB='$A'\nC=${A:-$B} # c\n", "\uFEFFA=a\\$b\nB\nC=\"\\0044A\\\"x\"\n", "A=\"", "A =\u00a0b\r\n#\nB[0]=$A",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, contents string) {
		sizes := variableSizes{lookupEnv: lookupIn(nil)}
		if sizes.check(map[string][]byte{".env": []byte(contents)}) != nil {
			return
		}
		values, err := dotenv.ParseWithLookup(bytes.NewReader([]byte(contents)), nil)
		if err != nil {
			return
		}
		for name, value := range values {
			if bound, known := sizes.sizes[name]; value != "" && (!known || len(value) > bound) {
				t.Errorf("%q has %d bytes, bounded by %d (%t)", name, len(value), bound, known)
			}
		}
	})
}
