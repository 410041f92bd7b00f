package cloudformation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/tag"
)

type parameterIn struct {
	ParameterKey     string
	ParameterValue   string
	UsePreviousValue bool `json:",string"`
}

// desired is what CreateStack, UpdateStack and CreateChangeSet have in common.
type desired struct {
	StackName           string
	TemplateBody        string
	TemplateURL         string
	UsePreviousTemplate bool `json:",string"`
	Parameters          []parameterIn
	Capabilities        []string
	Tags                []tag.Tag
}

// request is a template with everything that it needs to become a stack.
type request struct {
	template     *template
	text         string
	parameters   map[string]string
	tags         []tag.Tag
	capabilities []string
	order        []string // the resources that exist, each after those that it needs
}

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

func validation(format string, args ...any) error {
	return apierror.New("ValidationError", format, args...)
}

// invalid makes a reason to refuse a template an error of the API.
func invalid(err error) error {
	if e := apierror.As(err); e.Code != "InternalFailure" {
		return e
	}
	return validation("%s", err)
}

// newRequest validates what a caller wants a stack to be. old is the stack as it is, nil where there is none.
func (s *Service) newRequest(in *desired, old *stack) (*request, error) {
	q := &request{text: in.TemplateBody, parameters: map[string]string{}, tags: in.Tags, capabilities: in.Capabilities}
	switch {
	case in.UsePreviousTemplate && (in.TemplateBody != "" || in.TemplateURL != ""):
		return nil, validation("You cannot specify both usePreviousTemplate and Template Body/Template URL.")
	case in.UsePreviousTemplate && old != nil:
		q.text = old.text
	}
	t, err := readTemplate(q.text, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	q.template = t
	if err := tag.Check(q.tags); err != nil {
		return nil, validation("%s", err)
	}
	if len(q.tags) > tag.Max {
		return nil, validation("a stack can have %d tags", tag.Max)
	}
	if in.Tags == nil && old != nil {
		q.tags = old.tags // https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html: unchanged when absent
	}
	if err := q.readParameters(in.Parameters, old); err != nil {
		return nil, err
	}
	if err := q.checkKinds(old); err != nil {
		return nil, err
	}
	id, name := "", in.StackName
	if parts := strings.Split(name, "/"); len(parts) > 1 {
		id, name = name, parts[1]
	} else if old != nil {
		id = old.id
	}
	if q.order, err = s.scope(id, name, q).active(); err != nil {
		return nil, invalid(err)
	}
	return q, q.checkCapabilities()
}

// readTemplate parses a template that a request holds or names.
func readTemplate(body, address string) (*template, error) {
	switch {
	case address != "":
		return nil, apierror.NotEmulated("parameter TemplateURL")
	case body == "":
		return nil, validation("Either Template URL or Template Body must be specified.")
	case len(body) > maxTemplate:
		return nil, validation("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxTemplate)
	}
	t, err := parseTemplate(body)
	if err != nil {
		return nil, invalid(err)
	}
	return t, nil
}

func (q *request) readParameters(given []parameterIn, old *stack) error {
	for _, p := range given {
		_, declared := q.template.parameters[p.ParameterKey]
		switch {
		case p.UsePreviousValue && p.ParameterValue != "":
			return validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true and non empty value for a parameter", p.ParameterKey)
		case p.UsePreviousValue:
			value, had := "", false
			if old != nil {
				value, had = old.parameters[p.ParameterKey]
			}
			if !had {
				return validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", p.ParameterKey)
			}
			p.ParameterValue = value
		}
		if !declared {
			return validation("Parameters: [%s] do not exist in the template", p.ParameterKey)
		}
		q.parameters[p.ParameterKey] = p.ParameterValue
	}
	return q.checkParameters()
}

func (q *request) checkParameters() error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(q.template.parameters)) {
		p := q.template.parameters[name]
		v, ok := q.parameters[name]
		switch {
		case !ok && p.standard == nil:
			missing = append(missing, name)
			continue
		case !ok:
			v = *p.standard
			q.parameters[name] = v
		}
		if len(p.allowed) > 0 && !slices.Contains(p.allowed, v) {
			return validation("Parameter '%s' must be one of AllowedValues", name)
		}
		if p.allowedRegexp != "" {
			re, err := regexp.Compile("^(?:" + p.allowedRegexp + ")$")
			if err != nil || !re.MatchString(v) {
				return validation("Parameter '%s' must match pattern %s", name, p.allowedRegexp)
			}
		}
	}
	if len(missing) > 0 {
		return validation("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return nil
}

// checkKinds: a resource keeps its type.
func (q *request) checkKinds(old *stack) error {
	if old == nil {
		return nil
	}
	var changed []string
	for _, id := range q.template.order {
		if r := old.resources[id]; r != nil && r.kind != q.template.resources[id].kind {
			changed = append(changed, id)
		}
	}
	if len(changed) > 0 {
		return validation("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", strings.Join(changed, ", "))
	}
	return nil
}

// checkCapabilities: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
func (q *request) checkCapabilities() error {
	need, _ := q.template.capability(q.order)
	if need == "" || slices.Contains(q.capabilities, need) || slices.Contains(q.capabilities, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return apierror.New("InsufficientCapabilitiesException", "Requires capabilities : [%s]", need)
}

// capability is what the named resources ask for, and their types.
func (t *template) capability(ids []string) (need string, types []string) {
	for _, id := range ids {
		r := t.resources[id]
		c := kinds[r.kind].capability(r.properties)
		if len(c) > len(need) {
			need = c
		}
		if c != "" && !slices.Contains(types, r.kind) {
			types = append(types, r.kind)
		}
	}
	return need, types
}

// outputs evaluates the outputs whose condition holds.
func (q *request) outputs(scope *scope) ([]outputXML, error) {
	var out []outputXML
	for _, name := range q.template.outputOrder {
		o := q.template.outputs[name]
		yes, err := scope.holds(o.condition)
		if err != nil {
			return nil, err
		}
		if !yes {
			continue
		}
		v, err := scope.eval(o.value)
		if err != nil {
			return nil, err
		}
		export, err := scope.eval(o.export)
		if err != nil {
			return nil, err
		}
		if list, ok := v.([]any); ok {
			return nil, fmt.Errorf("Template format error: The Value field of every Outputs member must evaluate to a String: %s is a list of %d", name, len(list))
		}
		out = append(out, outputXML{OutputKey: name, OutputValue: text(v), Description: o.description, ExportName: text(export)})
	}
	return out, nil
}

// scope is what a request's functions see: resources are added as they are made.
func (s *Service) scope(id, name string, q *request) *scope {
	return &scope{template: q.template, parameters: q.parameters, resources: map[string]*resource{}, exports: s.export, pseudo: map[string]string{
		"AWS::AccountId": s.settings.Account, "AWS::Region": s.settings.Region, "AWS::StackName": name, "AWS::StackId": id,
		"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	}}
}
