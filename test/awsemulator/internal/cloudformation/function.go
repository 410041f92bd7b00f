package cloudformation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// scope is what functions can refer to while a stack is made.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
type scope struct {
	template   *template
	parameters map[string]string
	pseudo     map[string]string
	resources  map[string]*resource // those that exist so far
	exports    func(name string) (string, error)
	imports    []string // the exports that were read
	depth      int
}

// noValue takes a property away: AWS::NoValue.
type noValue struct{}

func (s *scope) eval(v any) (any, error) {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > 4*maxDepth {
		return nil, errors.New("Template error: nested too deep")
	}
	switch v := v.(type) {
	case map[string]any:
		if name, arg, ok := function(v); ok {
			return s.call(name, arg)
		}
		out := map[string]any{}
		for k, x := range v {
			y, err := s.eval(x)
			if err != nil {
				return nil, err
			}
			if _, gone := y.(noValue); !gone {
				out[k] = y
			}
		}
		return out, nil
	case []any:
		out := []any{}
		for _, x := range v {
			y, err := s.eval(x)
			if err != nil {
				return nil, err
			}
			if _, gone := y.(noValue); !gone {
				out = append(out, y)
			}
		}
		return out, nil
	}
	return v, nil
}

func (s *scope) call(name string, arg any) (any, error) {
	switch name {
	case "Ref":
		return s.ref(text(arg))
	case "Fn::GetAtt":
		list, ok := arg.([]any)
		if !ok || len(list) != 2 {
			return nil, errGetAtt
		}
		attribute, err := s.eval(list[1])
		if err != nil {
			return nil, err
		}
		return s.attribute(text(list[0]), text(attribute))
	case "Fn::Sub":
		return s.sub(arg)
	case "Fn::If":
		list, ok := arg.([]any)
		if !ok || len(list) != 3 {
			return nil, errIf
		}
		yes, err := s.named(text(list[0]))
		if err != nil {
			return nil, err
		}
		if yes {
			return s.eval(list[1])
		}
		return s.eval(list[2])
	case "Fn::ImportValue":
		return s.importValue(arg)
	case "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap":
		v, err := s.eval(arg)
		if err != nil {
			return nil, err
		}
		return s.list(name, v)
	}
	return nil, fmt.Errorf("Template error: function %s is not emulated", name)
}

func (s *scope) list(name string, v any) (any, error) {
	args, ok := v.([]any)
	wrong := fmt.Errorf("Template error: %s has wrong arguments", name)
	if !ok || len(args) < 2 {
		return nil, wrong
	}
	switch name {
	case "Fn::Join":
		items, ok := args[1].([]any)
		if !ok {
			return nil, wrong
		}
		parts := make([]string, len(items))
		for i, x := range items {
			parts[i] = text(x)
		}
		return strings.Join(parts, text(args[0])), nil
	case "Fn::Select":
		items, ok := args[1].([]any)
		i, err := strconv.Atoi(text(args[0]))
		if !ok || err != nil || i < 0 || i >= len(items) {
			return nil, errors.New("Template error: Fn::Select cannot select nonexistent value")
		}
		return items[i], nil
	case "Fn::Split":
		out := []any{}
		for _, part := range strings.Split(text(args[1]), text(args[0])) {
			out = append(out, part)
		}
		return out, nil
	}
	if len(args) != 3 {
		return nil, wrong
	}
	top, _ := s.template.mappings[text(args[0])].(map[string]any)
	second, _ := top[text(args[1])].(map[string]any)
	found, ok := second[text(args[2])]
	if !ok {
		return nil, fmt.Errorf("Template error: Unable to get mapping for %s::%s::%s", text(args[0]), text(args[1]), text(args[2]))
	}
	return found, nil
}

func (s *scope) ref(name string) (any, error) {
	if name == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := s.pseudo[name]; ok {
		return v, nil
	}
	if p, ok := s.template.parameters[name]; ok {
		v := s.parameters[name]
		if p.kind == "CommaDelimitedList" || p.kind == "List<Number>" {
			out := []any{}
			for _, part := range strings.Split(v, ",") {
				out = append(out, strings.TrimSpace(part))
			}
			return out, nil
		}
		return v, nil
	}
	if r := s.resources[name]; r != nil {
		return r.physicalID, nil
	}
	return nil, fmt.Errorf("Template format error: Unresolved resource dependencies [%s] in the template", name)
}

func (s *scope) attribute(name, attribute string) (any, error) {
	r := s.resources[name]
	if r == nil {
		return nil, fmt.Errorf("Template error: instance of Fn::GetAtt references undefined resource %s", name)
	}
	v, ok := r.attributes[attribute]
	if !ok {
		return nil, fmt.Errorf("Template error: resource %s does not support attribute type %s in Fn::GetAtt", name, attribute)
	}
	return v, nil
}

// importValue reads another stack's export.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html
func (s *scope) importValue(arg any) (any, error) {
	v, err := s.eval(arg)
	if err != nil {
		return nil, err
	}
	name := text(v)
	value, err := s.exports(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.imports, name) {
		s.imports = append(s.imports, name)
	}
	return value, nil
}

var subPattern = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

func (s *scope) sub(arg any) (any, error) {
	format, given, err := subArguments(arg)
	if err != nil {
		return nil, err
	}
	own := map[string]any{}
	for k, v := range given {
		if own[k], err = s.eval(v); err != nil {
			return nil, err
		}
	}
	var failed error
	out := subPattern.ReplaceAllStringFunc(format, func(match string) string {
		parts := subPattern.FindStringSubmatch(match)
		if parts[1] == "!" {
			return "${" + parts[2] + "}"
		}
		name := strings.TrimSpace(parts[2])
		if v, ok := own[name]; ok {
			return text(v)
		}
		var v any
		if resource, attribute, dotted := strings.Cut(name, "."); dotted {
			v, err = s.attribute(resource, attribute)
		} else {
			v, err = s.ref(name)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return text(v)
	})
	return out, failed
}

// named decides a condition of the template.
func (s *scope) named(name string) (bool, error) {
	s.depth++
	defer func() { s.depth-- }()
	c, ok := s.template.conditions[name]
	if !ok || s.depth > maxDepth {
		return false, fmt.Errorf("Template format error: unresolved condition dependency %s", name)
	}
	return s.condition(c)
}

func (s *scope) condition(c any) (bool, error) {
	m, ok := c.(map[string]any)
	if !ok || len(m) != 1 {
		return false, errors.New("Template format error: a condition is one function")
	}
	for name, arg := range m {
		if name == "Condition" {
			return s.named(text(arg))
		}
		list, _ := arg.([]any)
		if len(list) == 0 {
			return false, fmt.Errorf("Template error: %s takes a list", name)
		}
		if name == "Fn::Equals" {
			v, err := s.eval(arg)
			if err != nil {
				return false, err
			}
			pair, _ := v.([]any)
			if len(pair) != 2 {
				return false, errors.New("Template error: every Fn::Equals object requires a list of 2 string parameters.")
			}
			return text(pair[0]) == text(pair[1]), nil
		}
		for _, x := range list {
			yes, err := s.condition(x)
			switch {
			case err != nil:
				return false, err
			case name == "Fn::Not":
				return !yes, nil
			case name == "Fn::And" && !yes:
				return false, nil
			case name == "Fn::Or" && yes:
				return true, nil
			case name != "Fn::And" && name != "Fn::Or":
				return false, fmt.Errorf("Template error: condition function %s is not emulated", name)
			}
		}
		return name == "Fn::And", nil
	}
	return false, nil
}
