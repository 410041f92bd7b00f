package cloudformation

import (
	"errors"
	"fmt"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// reference is one place of a template that names a resource, a parameter or a pseudo parameter.
type reference struct {
	function  string // Ref, Fn::GetAtt or Fn::Sub
	name      string
	attribute string // of Fn::GetAtt and of ${name.attribute}; "" where the template computes it
}

// branch decides a condition for a walk through Fn::If. With known false, a walk takes both branches.
type branch func(condition string) (yes, known bool)

// bothBranches walks through every Fn::If whole: nothing is known about parameters yet.
func bothBranches(string) (yes, known bool) { return false, false }

// walk calls found for each reference in v, in no particular order within an object. It also checks what functions are given as far
// as that can be told without values.
func (t *template) walk(v any, decide branch, found func(reference)) error {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if err := t.walk(x, decide, found); err != nil {
				return err
			}
		}
	case map[string]any:
		if name, arg, ok := function(v); ok {
			return t.walkFunction(name, arg, decide, found)
		}
		for _, k := range sortedKeys(v) {
			if err := t.walk(v[k], decide, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// function tells whether an object of a template is a call of an intrinsic function.
func function(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, arg = range m {
	}
	return name, arg, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

func (t *template) walkFunction(name string, arg any, decide branch, found func(reference)) error {
	switch name {
	case "Ref":
		found(reference{function: name, name: text(arg)})
		return nil
	case "Fn::GetAtt":
		list, ok := arg.([]any)
		if !ok || len(list) != 2 || text(list[0]) == "" || list[1] == nil {
			return errGetAtt
		}
		attribute, _ := list[1].(string)
		found(reference{name, text(list[0]), attribute})
		return t.walk(list[1], decide, found)
	case "Fn::Sub":
		return t.walkSub(arg, decide, found)
	case "Fn::If":
		list, ok := arg.([]any)
		if !ok || len(list) != 3 {
			return errIf
		}
		condition := text(list[0])
		if _, ok := t.conditions[condition]; !ok {
			return fmt.Errorf("Template error: unresolved condition dependency %s in Fn::If", condition)
		}
		yes, known := decide(condition)
		for i, taken := range []bool{yes, !yes} {
			if taken || !known {
				if err := t.walk(list[1+i], decide, found); err != nil {
					return err
				}
			}
		}
		return nil
	case "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::ImportValue", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not":
		return t.walk(arg, decide, found)
	}
	return apierror.NotEmulated("the function " + name)
}

var (
	errGetAtt = errors.New("Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	errIf     = errors.New("Template error: Fn::If requires a list argument with three parameters")
	errSub    = errors.New("Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. " +
		"Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string")
)

func (t *template) walkSub(arg any, decide branch, found func(reference)) error {
	format, own, err := subArguments(arg)
	if err != nil {
		return err
	}
	for _, match := range subPattern.FindAllStringSubmatch(format, -1) {
		name := strings.TrimSpace(match[2])
		if _, given := own[name]; given || match[1] == "!" {
			continue
		}
		resource, attribute, _ := strings.Cut(name, ".")
		found(reference{"Fn::Sub", resource, attribute})
	}
	for _, k := range sortedKeys(own) {
		if err := t.walk(own[k], decide, found); err != nil {
			return err
		}
	}
	return nil
}

// subArguments reads both forms of Fn::Sub.
func subArguments(arg any) (format string, own map[string]any, err error) {
	switch a := arg.(type) {
	case string:
		return a, nil, nil
	case []any:
		if len(a) == 2 {
			format, isText := a[0].(string)
			own, isMap := a[1].(map[string]any)
			if isText && isMap {
				return format, own, nil
			}
		}
	}
	return "", nil, errSub
}
