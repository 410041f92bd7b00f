package devcontainer

import (
	"path"
	"regexp"
	"strings"
)

// variablePattern is the one of the reference implementation: up to the first brace.
var variablePattern = regexp.MustCompile(`\$\{(.*?)\}`)

// variables substitutes as the reference implementation does on Linux:
// https://containers.dev/implementors/json_reference/#variables-in-devcontainerjson
type variables struct {
	workspace          string // absolute, "" if there is none
	containerWorkspace string
	lookupEnv          func(string) (string, bool)
}

// expand returns text with its variables replaced, and those of them whose
// values depend on this machine. A reference without a name is reported.
func (v variables) expand(property, text string) (expanded string, used []Variable, bad string) {
	expanded = variablePattern.ReplaceAllStringFunc(text, func(match string) string {
		name, arguments, _ := cut(match[2 : len(match)-1])
		switch name {
		case "env", "localEnv":
			if arguments == nil {
				bad = match
				return match
			}
			value := v.env(arguments)
			used = append(used, Variable{Property: property, Name: arguments[0], Env: true, Value: value})
			return value
		case "localWorkspaceFolder", "localWorkspaceFolderBasename":
			value := v.workspace
			if value == "" {
				value = match
			} else if name == "localWorkspaceFolderBasename" {
				value = path.Base(value)
			}
			used = append(used, Variable{Property: property, Name: name, Value: value})
			return value
		case "containerWorkspaceFolder", "containerWorkspaceFolderBasename":
			value := v.containerWorkspace
			if value == "" {
				value = match
			} else if name == "containerWorkspaceFolderBasename" {
				value = path.Base(value)
			}
			used = append(used, Variable{Property: property, Name: name, Value: value})
			return value
		default:
			return match
		}
	})
	return expanded, used, bad
}

// env looks up arguments[0]. A default ends at the next colon, as the
// reference implementation splits at each.
func (v variables) env(arguments []string) string {
	if value, ok := v.lookupEnv(arguments[0]); ok {
		return value
	}
	if len(arguments) > 1 {
		return arguments[1]
	}
	return ""
}

func cut(variable string) (name string, arguments []string, found bool) {
	parts := strings.Split(variable, ":")
	if len(parts) == 1 {
		return parts[0], nil, false
	}
	return parts[0], parts[1:], true
}
