package compose

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxVariableBytes bounds the values of all variables that files of variables set. Each value may name others, so that
	// a few lines which double each other would fill the memory.
	maxVariableBytes = 4 << 20
	// maxReplacedBytes bounds what takes the place of variables in Compose files, in all readings of a project.
	maxReplacedBytes = 64 << 20
)

var (
	errVariablesTooLarge = fmt.Errorf(
		"its variables refer to each other, and would take more than %d MiB; shorten them", maxVariableBytes>>20,
	)
	errReplacedTooLarge = fmt.Errorf(
		"what takes the place of variables would take more than %d MiB; use shorter variables, or fewer",
		maxReplacedBytes>>20,
	)
)

// variableSizes bounds files of variables before compose-go reads them, because that can't be stopped. A size is how
// many bytes a value has at most: its own, and those of each variable that it names, used or not.
type variableSizes struct {
	lookupEnv lookup
	sizes     map[string]int
}

// check returns an error if the values of all files are too large. A file may name variables of one that comes later.
func (v *variableSizes) check(files map[string][]byte) error {
	v.sizes = map[string]int{}
	for range files {
		total := 0
		for _, name := range sortedKeys(files) {
			for _, s := range assignmentsIn(files[name]) {
				size := v.sizeOf(s.value)
				if total += size; total > maxVariableBytes {
					return errVariablesTooLarge
				}
				v.sizes[s.name] = max(v.sizes[s.name], size)
			}
		}
	}
	return nil
}

func (v *variableSizes) sizeOf(value []byte) int {
	size := len(value)
	for _, match := range variableReference.FindAllSubmatch(value, -1) {
		name := string(match[1])
		found := v.sizes[name]
		if own, set := v.lookupEnv(name); set {
			found = max(found, len(own))
		}
		if size += found; size > maxVariableBytes {
			break
		}
	}
	return size
}

// assignment is one variable that a file sets.
type assignment struct {
	name  string
	value []byte
}

// assignmentsIn splits a file of variables as github.com/compose-spec/compose-go/v2/dotenv does. It returns what stands
// before the first fault, which that reports.
func assignmentsIn(contents []byte) []assignment {
	var found []assignment
	rest := bytes.TrimPrefix(contents, []byte("\uFEFF"))
	for {
		rest = bytes.TrimLeftFunc(rest, unicode.IsSpace)
		if len(rest) == 0 {
			return found
		}
		if rest[0] == '#' {
			_, rest, _ = bytes.Cut(rest, []byte("\n"))
			continue
		}
		end := bytes.IndexAny(rest, "=:\n")
		if end < 0 { // the value of a variable without a name
			return append(found, assignment{value: rest})
		}
		name, inherited := rest[:end], rest[end] == '\n'
		rest = rest[end+1:]
		if inherited { // it has the machine's value
			continue
		}
		var value []byte
		value, rest = valueIn(bytes.TrimLeft(rest, "\t\v\f\r \u0085\u00A0"))
		found = append(found, assignment{name: nameIn(name), value: value})
	}
}

// nameIn returns the name of a variable that a shell may export.
func nameIn(written []byte) string {
	name := string(written)
	if after, found := strings.CutPrefix(name, "export"); found && strings.TrimLeftFunc(after, unicode.IsSpace) != after {
		name = after
	}
	return strings.TrimSpace(name)
}

// valueIn returns the value at the beginning of a text, with the dollars that stand for themselves or are written as
// numbers, and what follows.
func valueIn(text []byte) (value, rest []byte) {
	if len(text) == 0 || text[0] != '"' && text[0] != '\'' {
		value, rest, _ = bytes.Cut(text, []byte("\n"))
		return value, rest
	}
	quote, escaped := text[0], false
	for i := 1; i < len(text); i++ {
		switch {
		case escaped:
			escaped = false
		case text[i] == '\\':
			escaped = true
		case text[i] == quote:
			return bytes.ReplaceAll(slices.Clone(text[1:i]), []byte(`\0044`), []byte("$")), text[i+1:]
		}
	}
	return text, nil
}
