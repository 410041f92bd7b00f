package cloudformation

import (
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

type getTemplateIn struct {
	StackName     string
	ChangeSetName string
	TemplateStage string // both stages are the same: there are no macros
}

type templateOut struct {
	TemplateBody    string
	StagesAvailable []string `xml:"StagesAvailable>member"`
}

func (s *Service) getTemplate(c *caller.Caller, in *getTemplateIn) (*templateOut, error) {
	defer s.lock(c)()
	stages := []string{"Original", "Processed"}
	if in.ChangeSetName != "" {
		_, cs, err := s.openChangeSet(c, "GetTemplate", in.ChangeSetName, in.StackName)
		if err != nil {
			return nil, err
		}
		return &templateOut{cs.request.text, stages}, nil
	}
	st, err := s.open(c, "GetTemplate", in.StackName)
	if err != nil {
		return nil, err
	}
	return &templateOut{st.text, stages}, nil
}

type templateIn struct {
	TemplateBody string
	TemplateURL  string
}

type templateParameterXML struct {
	ParameterKey  string
	DefaultValue  *string
	ParameterType string `xml:",omitempty"`
	NoEcho        bool
	Description   string          `xml:",omitempty"`
	Constraints   *constraintsXML `xml:"ParameterConstraints"`
}

type constraintsXML struct {
	AllowedValues []string `xml:"AllowedValues>member"`
}

type validateTemplateOut struct {
	Parameters         []templateParameterXML `xml:"Parameters>member"`
	Description        string                 `xml:",omitempty"`
	Capabilities       []string               `xml:"Capabilities>member"`
	CapabilitiesReason string                 `xml:",omitempty"`
}

func (s *Service) validateTemplate(c *caller.Caller, in *templateIn) (*validateTemplateOut, error) {
	if err := c.Authorize(caller.Access{Action: "cloudformation:ValidateTemplate", Resource: "*"}); err != nil {
		return nil, err
	}
	t, err := readTemplate(in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	out := &validateTemplateOut{Description: t.description}
	out.Capabilities, out.CapabilitiesReason = t.capabilities()
	for _, p := range t.described() {
		p.ParameterType, p.Constraints = "", nil
		out.Parameters = append(out.Parameters, p)
	}
	return out, nil
}

// capabilities is what a template asks for, and why.
func (t *template) capabilities() (need []string, reason string) {
	c, types := t.capability(t.order)
	if c == "" {
		return nil, ""
	}
	return []string{c}, "The following resource(s) require capabilities: [" + strings.Join(types, ", ") + "]"
}

// described are a template's parameters.
func (t *template) described() (out []templateParameterXML) {
	for _, name := range slices.Sorted(maps.Keys(t.parameters)) {
		p := t.parameters[name]
		x := templateParameterXML{ParameterKey: name, DefaultValue: p.standard, ParameterType: p.kind, NoEcho: p.noEcho, Description: p.description}
		x.Constraints = &constraintsXML{p.allowed}
		out = append(out, x)
	}
	return out
}

type summaryIn struct {
	templateIn
	StackName string
}

type identifierXML struct {
	ResourceType        string
	LogicalResourceIDs  []string `xml:"LogicalResourceIds>member"`
	ResourceIdentifiers []string `xml:"ResourceIdentifiers>member"`
}

type templateSummaryOut struct {
	Parameters                  []templateParameterXML `xml:"Parameters>member"`
	Description                 string                 `xml:",omitempty"`
	Capabilities                []string               `xml:"Capabilities>member"`
	CapabilitiesReason          string                 `xml:",omitempty"`
	ResourceTypes               []string               `xml:"ResourceTypes>member"`
	Version                     string                 `xml:",omitempty"`
	Metadata                    string                 `xml:",omitempty"`
	ResourceIdentifierSummaries []identifierXML        `xml:"ResourceIdentifierSummaries>member"`
}

func (s *Service) getTemplateSummary(c *caller.Caller, in *summaryIn) (*templateSummaryOut, error) {
	t, err := s.summarized(c, in)
	if err != nil {
		return nil, err
	}
	out := &templateSummaryOut{Parameters: t.described(), Description: t.description, Version: t.version}
	if t.metadata != nil {
		out.Metadata, _ = documentText(t.metadata) // it came from a template: it can be encoded
	}
	out.Capabilities, out.CapabilitiesReason = t.capabilities()
	for _, id := range t.order {
		kind := t.resources[id].kind
		i := slices.Index(out.ResourceTypes, kind)
		if i < 0 {
			i = len(out.ResourceTypes)
			out.ResourceTypes = append(out.ResourceTypes, kind)
			out.ResourceIdentifierSummaries = append(out.ResourceIdentifierSummaries, identifierXML{ResourceType: kind})
			if name := kinds[kind].name; name != "" {
				out.ResourceIdentifierSummaries[i].ResourceIdentifiers = []string{name}
			}
		}
		out.ResourceIdentifierSummaries[i].LogicalResourceIDs = append(out.ResourceIdentifierSummaries[i].LogicalResourceIDs, id)
	}
	return out, nil
}

// summarized is the template that a summary is asked of: that of a stack, or one in the request.
func (s *Service) summarized(c *caller.Caller, in *summaryIn) (*template, error) {
	if in.StackName == "" {
		if err := c.Authorize(caller.Access{Action: "cloudformation:GetTemplateSummary", Resource: "*"}); err != nil {
			return nil, err
		}
		return readTemplate(in.TemplateBody, in.TemplateURL)
	}
	defer s.lock(c)()
	if in.TemplateBody != "" || in.TemplateURL != "" {
		return nil, apierror.New("ValidationError", "You can specify only one of the following: StackName, TemplateBody, or TemplateURL")
	}
	st, err := s.open(c, "GetTemplateSummary", in.StackName)
	if err != nil {
		return nil, err
	}
	if st.review() {
		return nil, validation("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
	}
	return st.template, nil
}
