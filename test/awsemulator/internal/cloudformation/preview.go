package cloudformation

import (
	"reflect"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/tag"
)

// unknown stands for what only exists once a change is made.
const unknown = "{{changeSet:KNOWN_AFTER_APPLY}}"

// preview is what a request would change.
type preview struct {
	changes []resourceChangeXML
	outputs []outputXML
}

// empty tells whether nothing would change: neither a resource nor an output nor a tag.
func (p *preview) empty(st *stack, q *request) bool {
	return len(p.changes) == 0 && slices.Equal(p.outputs, st.outputs) && slices.Equal(sortedTags(q.tags), sortedTags(st.tags))
}

func sortedTags(tags []tag.Tag) []tag.Tag {
	return slices.SortedFunc(slices.Values(tags), func(a, b tag.Tag) int { return strings.Compare(a.Key, b.Key) })
}

type targetXML struct {
	Attribute          string
	Name               string `xml:",omitempty"`
	RequiresRecreation string
}

type detailXML struct {
	Target        targetXML
	Evaluation    string
	ChangeSource  string
	CausingEntity string `xml:",omitempty"`
}

type resourceChangeXML struct {
	Action             string
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId,omitempty"`
	ResourceType       string
	Replacement        string      `xml:",omitempty"`
	PolicyAction       string      `xml:",omitempty"`
	Scope              []string    `xml:"Scope>member"`
	Details            []detailXML `xml:"Details>member"`
}

// previewed is what previews of one request share.
type previewed struct {
	stack *stack
	scope *scope
	fresh map[string]bool // resources that would be new
	tags  []tag.Tag
}

// preview evaluates a request without making anything.
func (s *Service) preview(st *stack, q *request) (*preview, error) {
	p, shared := &preview{}, &previewed{stack: st, scope: s.scope(st.id, st.name, q), fresh: map[string]bool{}, tags: q.tags}
	for _, id := range q.order {
		c, err := shared.resource(id)
		if err != nil {
			return nil, err
		}
		if c != nil {
			p.changes = append(p.changes, *c)
		}
	}
	for _, id := range st.order {
		if slices.Contains(q.order, id) {
			continue
		}
		old := st.resources[id]
		c := resourceChangeXML{Action: "Remove", LogicalResourceID: id, PhysicalResourceID: old.physicalID, ResourceType: old.kind}
		if old.retain {
			c.PolicyAction = "Retain"
		}
		p.changes = append(p.changes, c)
	}
	var err error
	p.outputs, err = q.outputs(shared.scope)
	return p, err
}

// resource previews one resource; nil is no change.
func (p *previewed) resource(id string) (*resourceChangeXML, error) {
	r, err := p.scope.evaluated(id)
	if err != nil {
		return nil, err
	}
	k := kinds[r.kind]
	old := p.stack.resources[id]
	if old == nil || old.status == "CREATE_FAILED" {
		p.scope.resources[id], p.fresh[id] = p.unmade(r), true
		return &resourceChangeXML{Action: "Add", LogicalResourceID: id, ResourceType: r.kind}, nil
	}
	p.scope.resources[id] = old
	d := compare(old, r, p.stack.tags, p.tags)
	if d.none() {
		return nil, nil
	}
	c := &resourceChangeXML{Action: "Modify", LogicalResourceID: id, PhysicalResourceID: old.physicalID, ResourceType: r.kind, Replacement: "False"}
	for _, name := range d.properties {
		recreation := "Never"
		details := p.details(id, name)
		if slices.Contains(k.replacing, name) {
			recreation = "Always"
			if details[0].Evaluation == "Static" {
				c.Replacement = "True"
			} else if c.Replacement == "False" {
				c.Replacement = "Conditional"
			}
		}
		for _, detail := range details {
			detail.Target = targetXML{"Properties", name, recreation}
			c.Details = append(c.Details, detail)
		}
		if !slices.Contains(c.Scope, "Properties") {
			c.Scope = append(c.Scope, "Properties")
		}
	}
	for attribute, changed := range map[string]bool{"Metadata": d.metadata, "Tags": d.tags} {
		if changed {
			c.Scope = append(c.Scope, attribute)
			c.Details = append(c.Details, detailXML{targetXML{attribute, "", "Never"}, "Static", "DirectModification", ""})
		}
	}
	if d.replaces(k) {
		p.scope.resources[id], p.fresh[id] = p.unmade(r), true
	}
	return c, nil
}

// unmade is a resource of which nothing is known yet.
func (p *previewed) unmade(r *resource) *resource {
	r.physicalID, r.attributes = unknown, map[string]string{}
	for _, a := range kinds[r.kind].attributes {
		r.attributes[a] = unknown
	}
	return r
}

// details tells why a property's value differs. There is at least one.
func (p *previewed) details(id, name string) []detailXML {
	direct := []detailXML{{Evaluation: "Static", ChangeSource: "DirectModification"}}
	if !reflect.DeepEqual(property(p.stack.template, id, name), property(p.scope.template, id, name)) {
		return direct
	}
	var out []detailXML
	_ = p.scope.template.walk(property(p.scope.template, id, name), p.scope.taken, func(r reference) { // checked before
		_, isParameter := p.scope.template.parameters[r.name]
		switch {
		case isParameter && p.scope.parameters[r.name] != p.stack.parameters[r.name]:
			out = append(out, detailXML{Evaluation: "Static", ChangeSource: "ParameterReference", CausingEntity: r.name},
				detailXML{Evaluation: "Dynamic", ChangeSource: "DirectModification"})
		case p.fresh[r.name] && r.attribute != "":
			out = append(out, detailXML{Evaluation: "Dynamic", ChangeSource: "ResourceAttribute", CausingEntity: r.name + "." + r.attribute})
		case p.fresh[r.name]:
			out = append(out, detailXML{Evaluation: "Dynamic", ChangeSource: "ResourceReference", CausingEntity: r.name})
		}
	})
	if len(out) == 0 {
		return direct
	}
	return out
}

func property(t *template, id, name string) any {
	if t == nil {
		return nil
	}
	m, _ := t.resources[id].properties.(map[string]any)
	return m[name]
}
