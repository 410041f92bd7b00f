package cloudformation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// template is a parsed template: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
type template struct {
	description string
	version     string
	metadata    any
	parameters  map[string]parameter
	mappings    map[string]any
	conditions  map[string]any
	resources   map[string]resourceTemplate
	order       []string // resources as written
	outputs     map[string]outputTemplate
	outputOrder []string
}

type parameter struct {
	kind          string
	description   string
	standard      *string
	allowed       []string
	noEcho        bool
	allowedRegexp string
}

type resourceTemplate struct {
	kind          string
	properties    any
	metadata      any
	dependsOn     []string
	condition     string
	retain        bool // when its stack no longer has it
	retainReplace bool // when an update makes another in its place
}

type outputTemplate struct {
	value       any
	description string
	export      any
	condition   string
}

// parseTemplate reads YAML, of which JSON is a part, with the short forms of functions.
func parseTemplate(text string) (*template, error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, fmt.Errorf("Template format error: %w", err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("Template format error: unsupported structure.")
	}
	t := &template{
		parameters: map[string]parameter{}, mappings: map[string]any{}, conditions: map[string]any{},
		resources: map[string]resourceTemplate{}, outputs: map[string]outputTemplate{},
	}
	var err error
	each(root.Content[0], func(key string, v *yaml.Node) {
		if err != nil {
			return
		}
		switch key {
		case "AWSTemplateFormatVersion":
			t.version = v.Value
		case "Metadata":
			t.metadata, err = value(v, 0)
		case "Description":
			t.description = v.Value
		case "Parameters":
			err = t.readParameters(v)
		case "Mappings":
			t.mappings, err = mapping(v)
		case "Conditions":
			t.conditions, err = mapping(v)
		case "Resources":
			err = t.readResources(v)
		case "Outputs":
			err = t.readOutputs(v)
		case "Transform", "Rules", "Hooks":
			err = apierror.NotEmulated("the section " + key + " of a template")
		default:
			err = fmt.Errorf("Invalid template property or properties [%s]", key)
		}
	})
	if err == nil && len(t.resources) == 0 {
		err = errors.New("Template format error: At least one Resources member must be defined.")
	}
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func each(n *yaml.Node, f func(key string, v *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i].Value, n.Content[i+1])
	}
}

func mapping(n *yaml.Node) (map[string]any, error) {
	v, err := value(n, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("Template format error: a section is not an object")
	}
	return m, nil
}

const maxDepth = 64

// value turns a node into maps, lists and scalars; a short form such as !Ref x becomes {"Ref": x}.
func value(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("Template format error: nested too deep")
	}
	var plain any
	switch n.Kind {
	case yaml.AliasNode:
		return nil, errors.New("Template error: YAML aliases are not allowed in CloudFormation templates")
	case yaml.MappingNode:
		m := map[string]any{}
		var err error
		each(n, func(key string, child *yaml.Node) {
			if err == nil {
				m[key], err = value(child, depth+1)
			}
		})
		if err != nil {
			return nil, err
		}
		plain = m
	case yaml.SequenceNode:
		list := []any{}
		for _, child := range n.Content {
			v, err := value(child, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		plain = list
	default:
		plain = scalar(n)
	}
	if !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return plain, nil
	}
	name := n.Tag[1:]
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: plain}, nil
	case "GetAtt":
		if s, ok := plain.(string); ok {
			resource, attribute, _ := strings.Cut(s, ".")
			plain = []any{resource, attribute}
		}
	}
	return map[string]any{"Fn::" + name: plain}, nil
}

// scalar keeps strings, numbers and dates as they are written; booleans become booleans.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	}
	return n.Value
}

func (t *template) readParameters(n *yaml.Node) error {
	all, err := mapping(n)
	if err != nil {
		return err
	}
	for name, raw := range all {
		m, ok := raw.(map[string]any)
		if !ok {
			return fmt.Errorf("Template format error: Parameter %s is not an object", name)
		}
		p := parameter{kind: text(m["Type"]), description: text(m["Description"]), noEcho: text(m["NoEcho"]) == "true", allowedRegexp: text(m["AllowedPattern"])}
		if d, ok := m["Default"]; ok {
			s := text(d)
			p.standard = &s
		}
		if list, ok := m["AllowedValues"].([]any); ok {
			for _, v := range list {
				p.allowed = append(p.allowed, text(v))
			}
		}
		if err := parameterEmulated(name, p.kind, m); err != nil {
			return err
		}
		t.parameters[name] = p
	}
	return nil
}

// parameterEmulated refuses a parameter of which something would be ignored.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func parameterEmulated(name, kind string, members map[string]any) error {
	for _, key := range sortedKeys(members) {
		switch key {
		case "Type", "Default", "Description", "AllowedValues", "AllowedPattern", "ConstraintDescription", "NoEcho":
		case "MinLength", "MaxLength", "MinValue", "MaxValue":
			return apierror.NotEmulated(key + " of a parameter")
		default:
			return fmt.Errorf("Invalid template parameter property '%s'", key)
		}
	}
	switch {
	case slices.Contains([]string{"String", "Number", "CommaDelimitedList", "List<Number>"}, kind):
		return nil
	case strings.Contains(kind, "AWS::"):
		return apierror.NotEmulated("the parameter type " + kind)
	}
	return fmt.Errorf("Template format error: Unrecognized parameter type: %s. Parameter %s", kind, name)
}

// resourceAttributes are the members of a resource in a template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-product-attribute-reference.html
var resourceAttributes = []string{
	"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "CreationPolicy", "UpdatePolicy",
}

func (t *template) readResources(n *yaml.Node) error {
	all, err := mapping(n)
	if err != nil {
		return err
	}
	each(n, func(key string, _ *yaml.Node) { t.order = append(t.order, key) })
	for name, raw := range all {
		m, ok := raw.(map[string]any)
		if !ok {
			return errors.New("Template format error: Any Resources member must be an object.")
		}
		for _, key := range sortedKeys(m) {
			if !slices.Contains(resourceAttributes, key) {
				return fmt.Errorf("Invalid template resource property '%s'", key)
			}
			if key == "CreationPolicy" || key == "UpdatePolicy" {
				return apierror.NotEmulated("the attribute " + key + " of a resource")
			}
		}
		if text(m["Type"]) == "" {
			return fmt.Errorf("Template format error: [/Resources/%s] Every Resources object must contain a Type member.", name)
		}
		r := resourceTemplate{
			kind: text(m["Type"]), properties: m["Properties"], metadata: m["Metadata"], condition: text(m["Condition"]),
			retain: strings.HasPrefix(text(m["DeletionPolicy"]), "Retain"), retainReplace: text(m["UpdateReplacePolicy"]) == "Retain",
		}
		switch d := m["DependsOn"].(type) {
		case string:
			r.dependsOn = []string{d}
		case []any:
			for _, x := range d {
				r.dependsOn = append(r.dependsOn, text(x))
			}
		}
		switch _, known := kinds[r.kind]; {
		case known:
		case strings.Contains(r.kind, "::"):
			return apierror.NotEmulated("the resource type " + r.kind)
		default:
			return fmt.Errorf("Template format error: Unrecognized resource types: [%s]", r.kind)
		}
		t.resources[name] = r
	}
	return nil
}

func (t *template) readOutputs(n *yaml.Node) error {
	all, err := mapping(n)
	if err != nil {
		return err
	}
	if len(all) > maxOutputs {
		return fmt.Errorf("Template format error: Number of outputs, %d, is greater than maximum allowed, %d", len(all), maxOutputs)
	}
	each(n, func(key string, _ *yaml.Node) { t.outputOrder = append(t.outputOrder, key) })
	for name, raw := range all {
		m, ok := raw.(map[string]any)
		if !ok || m["Value"] == nil {
			return fmt.Errorf("Template format error: Output %s is malformed.", name)
		}
		o := outputTemplate{value: m["Value"], description: text(m["Description"]), condition: text(m["Condition"])}
		if e, ok := m["Export"].(map[string]any); ok {
			o.export = e["Name"]
		}
		t.outputs[name] = o
	}
	return nil
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return fmt.Sprint(v)
}
