package cloudformation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/tag"
)

type stack struct {
	id, name, text string
	template       *template
	created        time.Time
	updated        time.Time
	deleted        time.Time
	capabilities   []string
	parameters     map[string]string
	tags           []tag.Tag
	resources      map[string]*resource
	order          []string // in which resources were made
	outputs        []outputXML
	events         []event

	// A change is done at once and shown when its time has come: until ready, the status is busy.
	ready        time.Time
	busy, status string
	reason       string
}

type event struct {
	at                          time.Time
	logicalID, physicalID, kind string
	status, reason              string
}

func (s *stack) shown(now time.Time) string {
	if now.Before(s.ready) {
		return s.busy
	}
	return s.status
}

// request is what CreateStack and UpdateStack have in common.
type request struct {
	template   *template
	text       string
	parameters map[string]string
	tags       []tag.Tag
}

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

func validation(format string, args ...any) error {
	return apierror.New("ValidationError", format, args...)
}

func newRequest(in *changeIn, old *stack) (*request, error) {
	q := &request{text: in.TemplateBody, parameters: map[string]string{}, tags: in.Tags}
	switch {
	case in.TemplateURL != "":
		return nil, apierror.NotEmulated("parameter TemplateURL")
	case in.UsePreviousTemplate && old != nil:
		q.text = old.text
	case q.text == "":
		return nil, validation("Either Template URL or Template Body must be specified.")
	case len(q.text) > maxTemplate:
		return nil, validation("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxTemplate)
	}
	t, err := parseTemplate(q.text)
	if err != nil {
		return nil, validation("%s", err)
	}
	q.template = t
	if err := tag.Check(q.tags); err != nil {
		return nil, validation("%s", err)
	}
	if len(q.tags) > tag.Max {
		return nil, validation("a stack can have %d tags", tag.Max)
	}
	return q, q.readParameters(in.Parameters, old)
}

func (q *request) readParameters(given []parameterIn, old *stack) error {
	for _, p := range given {
		if _, ok := q.template.parameters[p.ParameterKey]; !ok {
			return validation("Parameters: [%s] do not exist in the template", p.ParameterKey)
		}
		q.parameters[p.ParameterKey] = p.ParameterValue
		if p.UsePreviousValue && old != nil {
			q.parameters[p.ParameterKey] = old.parameters[p.ParameterKey]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.template.parameters)) {
		p := q.template.parameters[name]
		v, ok := q.parameters[name]
		switch {
		case !ok && p.standard == nil:
			return validation("Parameters: [%s] must have values", name)
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
	return nil
}

// capabilities that a template needs: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
func (q *request) checkCapabilities(given []string) error {
	need := ""
	for _, r := range q.template.resources {
		if c := kinds[r.kind].capability(r.properties); len(c) > len(need) {
			need = c
		}
	}
	if need == "" || slices.Contains(given, need) || slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return apierror.New("InsufficientCapabilitiesException", "Requires capabilities : [%s]", need)
}

// build makes a stack's resources what the request says. On failure it undoes what it did and returns the reason.
func (s *Service) build(c *caller.Caller, st *stack, q *request) error {
	w := &work{service: s, caller: c, stack: st, tags: q.tags}
	made := map[string]*resource{}
	var order []string
	scope := s.scope(st, q)
	var ensure func(id string) (*resource, error)
	ensure = func(id string) (*resource, error) {
		if r := made[id]; r != nil {
			if r.making {
				return nil, fmt.Errorf("Circular dependency between resources: [%s]", id)
			}
			return r, nil
		}
		t := q.template.resources[id]
		r := &resource{logicalID: id, kind: t.kind, retain: t.retain, making: true, changed: c.Now}
		made[id] = r
		for _, other := range t.dependsOn {
			if _, ok := q.template.resources[other]; !ok {
				return nil, fmt.Errorf("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", other)
			}
			if _, err := ensure(other); err != nil {
				return nil, err
			}
		}
		properties, err := scope.eval(t.properties)
		if err != nil {
			return nil, err
		}
		r.properties, _ = properties.(map[string]any)
		if err := s.make(w, st, r); err != nil {
			st.note(c.Now, r, "CREATE_FAILED", err.Error())
			delete(made, id)
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		r.making = false
		order = append(order, id)
		return r, nil
	}
	scope.resource = ensure
	err := s.each(q, scope, ensure)
	var outputs []outputXML
	if err == nil {
		outputs, err = q.outputs(scope)
	}
	if err != nil {
		return errors.Join(err, s.undo(w, st, made, order))
	}
	for _, id := range slices.Backward(st.order) {
		if old := st.resources[id]; old != nil && made[id] == nil && !old.retain {
			if err := kinds[old.kind].remove(w, old); err != nil {
				st.note(c.Now, old, "DELETE_FAILED", err.Error()) // UPDATE_COMPLETE all the same, as in CloudFormation's clean-up
			}
		}
	}
	st.resources, st.order, st.outputs = made, order, outputs
	st.template, st.text, st.parameters, st.tags = q.template, q.text, q.parameters, q.tags
	return nil
}

func (s *Service) each(q *request, scope *scope, ensure func(string) (*resource, error)) error {
	for _, id := range q.template.order {
		if condition := q.template.resources[id].condition; condition != "" {
			yes, err := scope.named(condition)
			if err != nil {
				return err
			}
			if !yes {
				continue
			}
		}
		if _, err := ensure(id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) make(w *work, st *stack, r *resource) error {
	old := st.resources[r.logicalID]
	if old == nil || old.kind != r.kind {
		if err := kinds[r.kind].create(w, r); err != nil {
			if r.physicalID != "" {
				_ = kinds[r.kind].remove(w, r) // half made: its role exists, one of its policies was refused
			}
			return err
		}
		st.note(w.caller.Now, r, "CREATE_COMPLETE", "")
		return nil
	}
	r.physicalID, r.attributes = old.physicalID, maps.Clone(old.attributes)
	if err := kinds[r.kind].update(w, old, r); err != nil {
		return err
	}
	st.note(w.caller.Now, r, "UPDATE_COMPLETE", "")
	return nil
}

// undo takes back what a failed build did: new resources go, changed ones become what they were.
func (s *Service) undo(w *work, st *stack, made map[string]*resource, order []string) error {
	var errs []error
	back := *w
	back.tags = st.tags
	for _, id := range slices.Backward(order) {
		r, old := made[id], st.resources[id]
		var err error
		if old == nil || old.kind != r.kind {
			err = kinds[r.kind].remove(w, r)
		} else {
			restored := *old
			err = kinds[r.kind].update(&back, r, &restored)
			st.resources[id] = &restored
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("roll back %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) scope(st *stack, q *request) *scope {
	return &scope{template: q.template, parameters: q.parameters, pseudo: map[string]string{
		"AWS::AccountId": s.settings.Account, "AWS::Region": s.settings.Region, "AWS::StackName": st.name, "AWS::StackId": st.id,
		"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	}}
}

func (q *request) outputs(scope *scope) ([]outputXML, error) {
	var out []outputXML
	for _, name := range q.template.outputOrder {
		o := q.template.outputs[name]
		if o.condition != "" {
			yes, err := scope.named(o.condition)
			if err != nil {
				return nil, err
			}
			if !yes {
				continue
			}
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

func (s *stack) note(at time.Time, r *resource, status, reason string) {
	s.events = append(s.events, event{at, r.logicalID, r.physicalID, r.kind, status, reason})
}

// same says whether an update would change nothing.
func (s *stack) same(q *request) bool {
	a, errA := json.Marshal([]any{s.text, s.parameters, s.tags})
	b, errB := json.Marshal([]any{q.text, q.parameters, q.tags})
	return errA == nil && errB == nil && string(a) == string(b)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
