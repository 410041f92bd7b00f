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
		name, arguments := cut(match[2 : len(match)-1])
		if name == "env" || name == "localEnv" {
			if len(arguments) == 0 {
				bad = match
				return match
			}
			variable, value := v.env(property, arguments)
			used = append(used, variable)
			return value
		}
		value, found := v.folder(name)
		if !found {
			return match
		}
		if value == "" {
			value = match
		}
		used = append(used, Variable{Property: property, Name: name, Set: true, Value: value})
		return value
	})
	return expanded, used, bad
}

// env looks up arguments[0]. A default ends at the next colon, as the
// reference implementation splits at each.
func (v variables) env(property string, arguments []string) (Variable, string) {
	variable := Variable{Property: property, Name: arguments[0], Env: true}
	variable.Value, variable.Set = v.lookupEnv(arguments[0])
	if !variable.Set && len(arguments) > 1 {
		return variable, arguments[1]
	}
	return variable, variable.Value
}

// folder returns the value of a variable about the workspace, "" where there is no workspace.
func (v variables) folder(name string) (value string, found bool) {
	name, isBase := strings.CutSuffix(name, "Basename")
	switch name {
	case "localWorkspaceFolder":
		value = v.workspace
	case "containerWorkspaceFolder":
		value = v.containerWorkspace
	default:
		return "", false
	}
	if isBase && value != "" {
		value = path.Base(value)
	}
	return value, true
}

func cut(variable string) (name string, arguments []string) {
	parts := strings.Split(variable, ":")
	return parts[0], parts[1:]
}
