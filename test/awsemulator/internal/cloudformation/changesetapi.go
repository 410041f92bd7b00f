package cloudformation

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type createChangeSetIn struct {
	desired
	ChangeSetName       string
	ChangeSetType       string
	Description         string
	ClientToken         string
	OnStackFailure      string
	IncludeNestedStacks bool `json:",string"` // there are none here
}

type createChangeSetOut struct {
	ID      string `xml:"Id"`
	StackID string `xml:"StackId"`
}

func (s *Service) createChangeSet(c *caller.Caller, in *createChangeSetIn) (*createChangeSetOut, error) {
	if !changeSetName.MatchString(in.ChangeSetName) {
		return nil, validation("1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.ChangeSetName)
	}
	if in.OnStackFailure != "" && !slices.Contains([]string{doNothing, rollBack, remove}, in.OnStackFailure) {
		return nil, validation("OnStackFailure must be one of DO_NOTHING, ROLLBACK, DELETE")
	}
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "CreateChangeSet", in.StackName, st, in.Tags); err != nil {
		return nil, err
	}
	st, err := s.proposable(c, in, st)
	if err != nil {
		return nil, err
	}
	old := st
	if st != nil && st.review() {
		old = nil
	}
	q, err := s.newRequest(&in.desired, old)
	if err != nil {
		return nil, err
	}
	if st == nil {
		st = s.newStack(c, in.StackName)
		st.ready = c.Now
		st.end("REVIEW_IN_PROGRESS", "User Initiated")
	}
	cs := &changeSet{
		id: s.arn("changeSet", in.ChangeSetName, newUUID()), name: in.ChangeSetName, description: in.Description, created: c.Now,
		ready: c.Now.Add(s.settings.Delay), request: q, onFailure: in.OnStackFailure, nested: in.IncludeNestedStacks,
	}
	s.propose(st, cs)
	st.changeSets = append(st.changeSets, cs)
	return &createChangeSetOut{cs.id, st.id}, nil
}

// proposable finds the stack for which a change set is wanted; nil is one that is still to be made.
func (s *Service) proposable(c *caller.Caller, in *createChangeSetIn, st *stack) (*stack, error) {
	switch in.ChangeSetType {
	case "IMPORT":
		return nil, apierror.NotEmulated("ChangeSetType IMPORT")
	case "CREATE":
		if st != nil && !st.review() {
			return nil, validation("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.StackName, in.ChangeSetName)
		}
		if st == nil {
			return nil, checkStackName(in.StackName)
		}
	case "UPDATE", "":
		if err := mayUpdate(c, st, in.StackName); err != nil {
			return nil, err
		}
	default:
		return nil, validation("1 validation error detected: Value '%s' at 'changeSetType' failed to satisfy constraint: Member must satisfy enum value set: [IMPORT, UPDATE, CREATE]", in.ChangeSetType)
	}
	if slices.ContainsFunc(st.changeSets, func(cs *changeSet) bool { return cs.name == in.ChangeSetName }) {
		return nil, apierror.New("AlreadyExistsException", "ChangeSet [%s] already exists", in.ChangeSetName)
	}
	return st, nil
}

type changeSetIn struct {
	ChangeSetName         string
	StackName             string
	NextToken             string
	IncludePropertyValues bool `json:",string"`
}

type changeXML struct {
	Type           string
	ResourceChange resourceChangeXML
}

type describeChangeSetOut struct {
	ChangeSetID         string `xml:"ChangeSetId"`
	ChangeSetName       string
	StackID             string `xml:"StackId"`
	StackName           string
	Description         string         `xml:",omitempty"`
	Parameters          []parameterXML `xml:"Parameters>member"`
	CreationTime        string
	ExecutionStatus     string
	Status              string
	StatusReason        string      `xml:",omitempty"`
	OnStackFailure      string      `xml:",omitempty"`
	Capabilities        []string    `xml:"Capabilities>member"`
	Tags                []tag.Tag   `xml:"Tags>member"`
	Changes             []changeXML `xml:"Changes>member"`
	IncludeNestedStacks bool
}

func (s *Service) describeChangeSet(c *caller.Caller, in *changeSetIn) (*describeChangeSetOut, error) {
	if in.IncludePropertyValues {
		return nil, apierror.NotEmulated("parameter IncludePropertyValues")
	}
	defer s.lock(c)()
	st, cs, err := s.openChangeSet(c, "DescribeChangeSet", in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	out := &describeChangeSetOut{
		ChangeSetID: cs.id, ChangeSetName: cs.name, StackID: st.id, StackName: st.name, Description: cs.description,
		Parameters: shownParameters(cs.request.template, cs.request.parameters), CreationTime: stamp(cs.created), OnStackFailure: cs.onFailure,
		Capabilities: cs.request.capabilities, Tags: cs.request.tags, IncludeNestedStacks: cs.nested,
	}
	out.Status, out.ExecutionStatus = cs.shown(c.Now)
	if c.Now.Before(cs.ready) {
		return out, nil
	}
	out.StatusReason = cs.reason
	for _, change := range cs.changes {
		out.Changes = append(out.Changes, changeXML{"Resource", change})
	}
	return out, nil
}

type executeChangeSetIn struct {
	ChangeSetName      string
	StackName          string
	DisableRollback    bool `json:",string"`
	ClientRequestToken string
}

func (s *Service) executeChangeSet(c *caller.Caller, in *executeChangeSetIn) (*wire.Empty, error) {
	defer s.lock(c)()
	st, cs, err := s.openChangeSet(c, "ExecuteChangeSet", in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	if !st.review() {
		if _, execution := cs.shown(c.Now); execution == "AVAILABLE" {
			if err := mayUpdate(c, st, st.name); err != nil {
				return nil, err
			}
		}
	}
	return &wire.Empty{}, s.execute(c, st, cs, in.DisableRollback)
}

// deleteChangeSet of a change set that does not exist is no error, of a stack that does not exist it is.
func (s *Service) deleteChangeSet(c *caller.Caller, in *changeSetIn) (*wire.Empty, error) {
	defer s.lock(c)()
	st, cs, err := s.openChangeSet(c, "DeleteChangeSet", in.ChangeSetName, in.StackName)
	if err != nil {
		if apierror.As(err).Code == "ChangeSetNotFound" {
			return &wire.Empty{}, nil
		}
		return nil, err
	}
	if cs.execution == "EXECUTE_COMPLETE" {
		return nil, apierror.New("InvalidChangeSetStatus", "ChangeSet [%s] cannot be deleted in its current execution status of [%s]", cs.id, cs.execution)
	}
	st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other == cs })
	return &wire.Empty{}, nil
}

type changeSetSummaryXML struct {
	StackID             string `xml:"StackId"`
	StackName           string
	ChangeSetID         string `xml:"ChangeSetId"`
	ChangeSetName       string
	ExecutionStatus     string
	Status              string
	StatusReason        string `xml:",omitempty"`
	CreationTime        string
	Description         string `xml:",omitempty"`
	IncludeNestedStacks bool
}

type listChangeSetsOut struct {
	Summaries []changeSetSummaryXML `xml:"Summaries>member"`
	NextToken string                `xml:",omitempty"`
}

// listChangeSets lists those that are not executed.
func (s *Service) listChangeSets(c *caller.Caller, in *stackNameIn) (*listChangeSetsOut, error) {
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "ListChangeSets", in.StackName, st, nil); err != nil {
		return nil, err
	}
	if st == nil {
		return nil, validation("Stack [%s] does not exist", in.StackName)
	}
	var all []changeSetSummaryXML
	for _, cs := range st.changeSets {
		status, execution := cs.shown(c.Now)
		if execution != "EXECUTE_COMPLETE" {
			all = append(all, changeSetSummaryXML{
				st.id, st.name, cs.id, cs.name, execution, status, cs.reason, stamp(cs.created), cs.description, cs.nested,
			})
		}
	}
	slices.SortFunc(all, func(a, b changeSetSummaryXML) int { return strings.Compare(a.ChangeSetID, b.ChangeSetID) })
	part, next, err := page.Cut(all, func(x changeSetSummaryXML) string { return x.ChangeSetID }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	return &listChangeSetsOut{part, next}, nil
}
