// Package cloudformation is CloudFormation's Query API: stacks with tags, parameters and outputs, and a few types of resources.
package cloudformation

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Namespace is the XML namespace of CloudFormation's answers.
const Namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

// Limits: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxTemplate = 51_200
	maxOutputs  = 200
	stacksPage  = 100
)

// Settings are the stacks' place and what they are made with.
type Settings struct {
	Account, Region string
	Clock           *clock.Clock
	Delay           time.Duration // how long a stack is IN_PROGRESS
	IAM, ECR        map[string]wire.Operation
}

// Service is the stacks of one account in one region.
type Service struct {
	settings Settings

	mu     sync.Mutex
	stacks map[string]*stack // by name: those that are not deleted
	all    []*stack          // deleted ones too, oldest first
}

// New makes a service without stacks.
func New(s Settings) *Service { return &Service{settings: s, stacks: map[string]*stack{}} }

// Operations is the API.
func (s *Service) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateStack":            wire.Op(s.createStack),
		"UpdateStack":            wire.Op(s.updateStack),
		"DeleteStack":            wire.Op(s.deleteStack),
		"DescribeStacks":         wire.Op(s.describeStacks),
		"ListStacks":             wire.Op(s.listStacks),
		"DescribeStackEvents":    wire.Op(s.describeStackEvents),
		"DescribeStackResources": wire.Op(s.describeStackResources),
		"GetTemplate":            wire.Op(s.getTemplate),
	}
}

type parameterIn struct {
	ParameterKey     string
	ParameterValue   string
	UsePreviousValue bool `json:",string"`
}

type changeIn struct {
	StackName           string
	TemplateBody        string
	TemplateURL         string
	UsePreviousTemplate bool `json:",string"`
	Parameters          []parameterIn
	Capabilities        []string
	Tags                []tag.Tag
	OnFailure           string
	DisableRollback     bool `json:",string"`
	ClientRequestToken  string
}

type stackIDOut struct {
	StackID string `xml:"StackId"`
}

func newID(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

func newUUID() string {
	h := newID(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (s *Service) arn(name, id string) string {
	return "arn:aws:cloudformation:" + s.settings.Region + ":" + s.settings.Account + ":stack/" + name + "/" + id
}

// find takes a name or an ID. Deleted stacks are found by their ID alone. Callers hold the lock.
func (s *Service) find(name string) *stack {
	if st := s.stacks[name]; st != nil {
		return st
	}
	for _, st := range s.all {
		if st.id == name {
			return st
		}
	}
	return nil
}

func (s *Service) authorize(c *caller.Caller, action, name string, st *stack, requested []tag.Tag) error {
	resource := s.arn(name, "*")
	ctx := tag.Requested(requested)
	if st != nil {
		resource = st.id
		tags := map[string]string{}
		for _, t := range st.tags {
			tags[t.Key] = t.Value
		}
		ctx.Merge(tag.Resource(tags, "aws"))
	}
	return c.Authorize(caller.Access{Action: "cloudformation:" + action, Resource: resource, Context: ctx})
}

func (s *Service) createStack(c *caller.Caller, in *changeIn) (*stackIDOut, error) {
	if !stackName.MatchString(in.StackName) {
		return nil, validation("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.StackName)
	}
	q, err := newRequest(in, nil)
	if err != nil {
		return nil, err
	}
	onFailure := in.OnFailure
	switch {
	case onFailure == "" && in.DisableRollback:
		onFailure = "DO_NOTHING"
	case onFailure == "":
		onFailure = "ROLLBACK"
	case !slices.Contains([]string{"DO_NOTHING", "ROLLBACK", "DELETE"}, onFailure):
		return nil, validation("OnFailure must be one of DO_NOTHING, ROLLBACK, DELETE")
	case in.DisableRollback:
		return nil, validation("You can specify either DisableRollback or OnFailure, but not both")
	}
	if err := s.authorize(c, "CreateStack", in.StackName, nil, in.Tags); err != nil {
		return nil, err
	}
	if err := q.checkCapabilities(in.Capabilities); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stacks[in.StackName] != nil {
		return nil, apierror.New("AlreadyExistsException", "Stack [%s] already exists", in.StackName)
	}
	st := &stack{
		id: s.arn(in.StackName, newUUID()), name: in.StackName, created: c.Now, capabilities: in.Capabilities, resources: map[string]*resource{},
		ready: c.Now.Add(s.settings.Delay), busy: "CREATE_IN_PROGRESS", status: "CREATE_COMPLETE",
		text: q.text, template: q.template, parameters: q.parameters, tags: q.tags,
	}
	self := &resource{logicalID: st.name, physicalID: st.id, kind: "AWS::CloudFormation::Stack"}
	st.note(c.Now, self, "CREATE_IN_PROGRESS", "User Initiated")
	if err := s.build(c, st, q); err != nil {
		st.reason = "The following resource(s) failed to create: " + oneLine(err)
		st.status, st.busy = "ROLLBACK_COMPLETE", "ROLLBACK_IN_PROGRESS"
		switch onFailure {
		case "DO_NOTHING":
			st.status, st.busy = "CREATE_FAILED", "CREATE_IN_PROGRESS"
		case "DELETE":
			st.status, st.busy = "DELETE_COMPLETE", "DELETE_IN_PROGRESS"
			st.deleted = c.Now
		}
		st.resources, st.order = map[string]*resource{}, nil
	}
	st.note(c.Now, self, st.status, st.reason)
	if st.deleted.IsZero() {
		s.stacks[in.StackName] = st
	}
	s.all = append(s.all, st)
	return &stackIDOut{st.id}, nil
}

func (s *Service) updateStack(c *caller.Caller, in *changeIn) (*stackIDOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(in.StackName)
	if err := s.authorize(c, "UpdateStack", in.StackName, st, in.Tags); err != nil {
		return nil, err
	}
	if st == nil || !st.deleted.IsZero() {
		return nil, validation("Stack [%s] does not exist", in.StackName)
	}
	status := st.shown(c.Now)
	if !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}, status) {
		return nil, validation("Stack:%s is in %s state and can not be updated.", st.id, status)
	}
	q, err := newRequest(in, st)
	if err != nil {
		return nil, err
	}
	if in.Tags == nil {
		q.tags = st.tags // https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html: unchanged when absent
	}
	if err := q.checkCapabilities(in.Capabilities); err != nil {
		return nil, err
	}
	if st.same(q) {
		return nil, validation("No updates are to be performed.")
	}
	self := &resource{logicalID: st.name, physicalID: st.id, kind: "AWS::CloudFormation::Stack"}
	st.note(c.Now, self, "UPDATE_IN_PROGRESS", "User Initiated")
	st.updated, st.capabilities = c.Now, in.Capabilities
	st.ready, st.busy, st.status, st.reason = c.Now.Add(s.settings.Delay), "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", ""
	if err := s.build(c, st, q); err != nil {
		st.busy, st.status, st.reason = "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", "The following resource(s) failed to update: "+oneLine(err)
	}
	st.note(c.Now, self, st.status, st.reason)
	return &stackIDOut{st.id}, nil
}

type stackNameIn struct {
	StackName          string
	NextToken          string
	ClientRequestToken string
}

// deleteStack of a stack that does not exist is no error, as in CloudFormation.
func (s *Service) deleteStack(c *caller.Caller, in *stackNameIn) (*wire.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.find(in.StackName)
	if err := s.authorize(c, "DeleteStack", in.StackName, st, nil); err != nil {
		return nil, err
	}
	if st == nil || !st.deleted.IsZero() {
		return &wire.Empty{}, nil
	}
	w := &work{service: s, caller: c, stack: st, tags: st.tags}
	st.ready, st.busy = c.Now.Add(s.settings.Delay), "DELETE_IN_PROGRESS"
	for _, id := range slices.Backward(st.order) {
		r := st.resources[id]
		if r.retain {
			continue
		}
		if err := kinds[r.kind].remove(w, r); err != nil {
			st.status, st.reason = "DELETE_FAILED", "The following resource(s) failed to delete: ["+id+"]. "+oneLine(err)
			return &wire.Empty{}, nil
		}
		delete(st.resources, id)
		st.order = st.order[:len(st.order)-1]
	}
	st.status, st.reason, st.deleted = "DELETE_COMPLETE", "", c.Now
	return &wire.Empty{}, nil
}

type outputXML struct {
	OutputKey   string
	OutputValue string
	Description string `xml:",omitempty"`
	ExportName  string `xml:",omitempty"`
}

type parameterXML struct {
	ParameterKey   string
	ParameterValue string
}

type stackXML struct {
	StackID           string `xml:"StackId"`
	StackName         string
	Description       string `xml:",omitempty"`
	CreationTime      string
	LastUpdatedTime   string `xml:",omitempty"`
	DeletionTime      string `xml:",omitempty"`
	StackStatus       string
	StackStatusReason string `xml:",omitempty"`
	DisableRollback   bool
	Capabilities      []string       `xml:"Capabilities>member"`
	Parameters        []parameterXML `xml:"Parameters>member"`
	Outputs           []outputXML    `xml:"Outputs>member"`
	Tags              []tag.Tag      `xml:"Tags>member"`
}

type describeStacksOut struct {
	Stacks    []stackXML `xml:"Stacks>member"`
	NextToken string     `xml:",omitempty"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *stack) xml(now time.Time) stackXML {
	x := stackXML{
		StackID: s.id, StackName: s.name, Description: s.template.description, CreationTime: stamp(s.created), LastUpdatedTime: stamp(s.updated),
		StackStatus: s.shown(now), Capabilities: s.capabilities, Tags: s.tags,
	}
	if !now.Before(s.ready) {
		x.StackStatusReason, x.Outputs, x.DeletionTime = s.reason, s.outputs, stamp(s.deleted)
	}
	for _, k := range slices.Sorted(maps.Keys(s.parameters)) {
		v := s.parameters[k]
		if s.template.parameters[k].noEcho {
			v = "****"
		}
		x.Parameters = append(x.Parameters, parameterXML{k, v})
	}
	return x
}

func (s *Service) describeStacks(c *caller.Caller, in *stackNameIn) (*describeStacksOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(c.Now)
	if in.StackName != "" {
		st := s.find(in.StackName)
		if err := s.authorize(c, "DescribeStacks", in.StackName, st, nil); err != nil {
			return nil, err
		}
		if st == nil {
			return nil, validation("Stack with id %s does not exist", in.StackName)
		}
		return &describeStacksOut{Stacks: []stackXML{st.xml(c.Now)}}, nil
	}
	if err := c.Authorize(caller.Access{Action: "cloudformation:DescribeStacks", Resource: s.arn("*", "*")}); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(s.stacks))
	part, next, err := page.Cut(names, func(n string) string { return n }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	out := &describeStacksOut{NextToken: next}
	for _, name := range part {
		out.Stacks = append(out.Stacks, s.stacks[name].xml(c.Now))
	}
	return out, nil
}

// forget frees the names of stacks whose deletion is done.
func (s *Service) forget(now time.Time) {
	for name, st := range s.stacks {
		if !st.deleted.IsZero() && !now.Before(st.ready) {
			delete(s.stacks, name)
		}
	}
}

type listStacksIn struct {
	NextToken         string
	StackStatusFilter []string
}

type summaryXML struct {
	StackID           string `xml:"StackId"`
	StackName         string
	CreationTime      string
	LastUpdatedTime   string `xml:",omitempty"`
	DeletionTime      string `xml:",omitempty"`
	StackStatus       string
	StackStatusReason string `xml:",omitempty"`
}

type listStacksOut struct {
	StackSummaries []summaryXML `xml:"StackSummaries>member"`
	NextToken      string       `xml:",omitempty"`
}

func (s *Service) listStacks(c *caller.Caller, in *listStacksIn) (*listStacksOut, error) {
	if err := c.Authorize(caller.Access{Action: "cloudformation:ListStacks", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []summaryXML
	for _, st := range s.all {
		x := st.xml(c.Now)
		if len(in.StackStatusFilter) == 0 || slices.Contains(in.StackStatusFilter, x.StackStatus) {
			all = append(all, summaryXML{x.StackID, x.StackName, x.CreationTime, x.LastUpdatedTime, x.DeletionTime, x.StackStatus, x.StackStatusReason})
		}
	}
	slices.SortFunc(all, func(a, b summaryXML) int { return strings.Compare(a.StackID, b.StackID) })
	part, next, err := page.Cut(all, func(x summaryXML) string { return x.StackID }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	return &listStacksOut{part, next}, nil
}

// open finds a stack for an action; it must exist.
func (s *Service) open(c *caller.Caller, action, name string) (*stack, error) {
	st := s.find(name)
	if err := s.authorize(c, action, name, st, nil); err != nil {
		return nil, err
	}
	if st == nil {
		return nil, validation("Stack with id %s does not exist", name)
	}
	return st, nil
}

type eventXML struct {
	StackID              string `xml:"StackId"`
	EventID              string `xml:"EventId"`
	StackName            string
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	Timestamp            string
	ResourceStatus       string
	ResourceStatusReason string `xml:",omitempty"`
}

type eventsOut struct {
	StackEvents []eventXML `xml:"StackEvents>member"`
}

func (s *Service) describeStackEvents(c *caller.Caller, in *stackNameIn) (*eventsOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.open(c, "DescribeStackEvents", in.StackName)
	if err != nil {
		return nil, err
	}
	out := &eventsOut{}
	for i, e := range slices.Backward(st.events) {
		out.StackEvents = append(out.StackEvents, eventXML{
			st.id, e.logicalID + "-" + stamp(e.at) + "-" + string(rune('a'+i%26)), st.name, e.logicalID, e.physicalID, e.kind, stamp(e.at), e.status, e.reason,
		})
	}
	return out, nil
}

type resourceXML struct {
	StackName          string
	StackID            string `xml:"StackId"`
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId"`
	ResourceType       string
	Timestamp          string
	ResourceStatus     string
}

type resourcesIn struct {
	StackName         string
	LogicalResourceID string `json:"LogicalResourceId"`
}

type resourcesOut struct {
	StackResources []resourceXML `xml:"StackResources>member"`
}

func (s *Service) describeStackResources(c *caller.Caller, in *resourcesIn) (*resourcesOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.open(c, "DescribeStackResources", in.StackName)
	if err != nil {
		return nil, err
	}
	out := &resourcesOut{}
	for _, id := range st.order {
		if in.LogicalResourceID != "" && in.LogicalResourceID != id {
			continue
		}
		r := st.resources[id]
		out.StackResources = append(out.StackResources, resourceXML{st.name, st.id, id, r.physicalID, r.kind, stamp(r.changed), "CREATE_COMPLETE"})
	}
	return out, nil
}

type templateOut struct {
	TemplateBody    string
	StagesAvailable []string `xml:"StagesAvailable>member"`
}

func (s *Service) getTemplate(c *caller.Caller, in *stackNameIn) (*templateOut, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.open(c, "GetTemplate", in.StackName)
	if err != nil {
		return nil, err
	}
	return &templateOut{st.text, []string{"Original", "Processed"}}, nil
}
