package dockerfile

import (
	"regexp"
	"strings"
)

// Names that the reference CLI gives to stages:
// https://github.com/devcontainers/cli, src/spec-node/singleContainer.ts and containerFeatures.ts.
const (
	// BuiltStage is the stage that the CLI appends and builds.
	BuiltStage = "dev_containers_target_stage"
	// namedStage is the last stage's name where the Dockerfile gives none.
	namedStage = "dev_container_auto_added_stage_label"
)

// prefixLines is how many lines the CLI puts before a Dockerfile.
const prefixLines = 2

var (
	// fromLine and stageName are how the CLI finds the last FROM and its name.
	// It reads lines, not instructions.
	fromLine  = regexp.MustCompile(`(?mi)^\s*FROM.*`)
	stageName = regexp.MustCompile(`(?i)FROM\s+(?:--platform=\S+\s+)?"?[^\s]+"?(?:\s+AS\s+([^\s]+))?`)
	// syntaxLine is the first line that the CLI moves before its own lines.
	syntaxLine = regexp.MustCompile(`^\s*#\s*syntax\s*=.*[\r\n]`)
	// directive is a line of which the CLI takes a syntax directive.
	directive = regexp.MustCompile(`^\s*#\s*(\S+)\s*=\s*(.+)`)
)

// Built returns the Dockerfile that the reference CLI builds of contents: two
// lines, then contents with a name for the last stage, then one more stage that
// starts from target, or from the last stage. A directive in contents is a
// comment there, but for "# syntax", which moves to the first line.
//
// Line n of contents is line n + prefixLines of the result.
func Built(contents []byte, target string) []byte {
	text := string(contents)
	first := ""
	if syntax := syntaxOf(text); syntax != "" {
		first = "# syntax=" + syntax
	}
	// The CLI removes the line. An empty one in its place keeps line numbers.
	if match := syntaxLine.FindString(text); match != "" {
		text = strings.Repeat("\n", strings.Count(match, "\n")) + text[len(match):]
	}
	if target == "" {
		text, target = withStageName(text)
	}
	return []byte(
		first + "\nARG _DEV_CONTAINERS_BASE_IMAGE=placeholder\n" + text + "\nFROM " + target + " AS " + BuiltStage + "\n",
	)
}

// defaultTarget is the value of TARGETSTAGE in a build without a target:
// https://github.com/moby/buildkit, frontend/dockerfile/dockerfile2llb/convert.go
const defaultTarget = "default"

// leadingDirective is a line that BuildKit's parser may take for a directive.
var leadingDirective = regexp.MustCompile(`^#\s*[a-zA-Z][a-zA-Z0-9]*\s*=.*$`)

// moved returns a Dockerfile that builds the same as contents and whose
// instructions stand prefixLines further down, as those of Built do. Directives
// stay at its top.
func moved(contents []byte) []byte {
	text := string(contents)
	end := 0
	for line := range strings.Lines(text) {
		if !leadingDirective.MatchString(strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n")) {
			break
		}
		end += len(line)
	}
	return []byte(text[:end] + strings.Repeat("\n", prefixLines) + text[end:])
}

// syntaxOf returns the frontend that a Dockerfile's directives name, as the
// reference CLI reads them.
func syntaxOf(text string) string {
	for line := range strings.Lines(text) {
		match := directive.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if match == nil {
			return ""
		}
		if match[1] == "syntax" {
			return match[2]
		}
	}
	return ""
}

// withStageName names the last stage where it has no name, and returns the name.
func withStageName(text string) (named, name string) {
	lines := fromLine.FindAllStringIndex(text, -1)
	if len(lines) == 0 {
		return text, namedStage
	}
	last := lines[len(lines)-1]
	match := stageName.FindStringSubmatchIndex(text[last[0]:last[1]])
	if match == nil {
		return text, namedStage
	}
	if match[2] >= 0 {
		return text, text[last[0]+match[2] : last[0]+match[3]]
	}
	end := last[0] + match[1]
	return text[:end] + " AS " + namedStage + text[end:], namedStage
}
