package cloudformation

import (
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type createStackIn struct {
	desired
	OnFailure          string
	DisableRollback    bool `json:",string"`
	ClientRequestToken string
}

type stackIDOut struct {
	StackID string `xml:"StackId"`
}

// updatable are the states from which a stack can be updated.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-status-codes.html
var updatable = []string{"CREATE_COMPLETE", "CREATE_FAILED", "UPDATE_COMPLETE", "UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE"}

func checkStackName(name string) error {
	if !stackName.MatchString(name) {
		return validation("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*", name)
	}
	return nil
}

// failureOption reads the two settings that say what becomes of a stack that can't be made.
func failureOption(onFailure string, disableRollback bool) (string, error) {
	switch {
	case onFailure == "" && disableRollback:
		return doNothing, nil
	case onFailure == "":
		return rollBack, nil
	case !slices.Contains([]string{doNothing, rollBack, remove}, onFailure):
		return "", validation("OnFailure must be one of DO_NOTHING, ROLLBACK, DELETE")
	case disableRollback:
		return "", validation("You can specify either DisableRollback or OnFailure, but not both")
	}
	return onFailure, nil
}

func (s *Service) createStack(c *caller.Caller, in *createStackIn) (*stackIDOut, error) {
	if err := checkStackName(in.StackName); err != nil {
		return nil, err
	}
	onFailure, err := failureOption(in.OnFailure, in.DisableRollback)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(c, "CreateStack", in.StackName, nil, in.Tags); err != nil {
		return nil, err
	}
	q, err := s.newRequest(&in.desired, nil)
	if err != nil {
		return nil, err
	}
	defer s.lock(c)()
	st := s.stacks[in.StackName]
	if st != nil && !st.review() {
		return nil, apierror.New("AlreadyExistsException", "Stack [%s] already exists", in.StackName)
	}
	if st == nil {
		st = s.newStack(c, in.StackName)
	}
	st.noRollback = onFailure == doNothing
	st.obsolete()
	s.create(c, st, q, onFailure)
	return &stackIDOut{st.id}, nil
}

// newStack is a stack without resources. Callers hold the lock.
func (s *Service) newStack(c *caller.Caller, name string) *stack {
	st := &stack{id: s.arn("stack", name, newUUID()), name: name, created: c.Now, resources: map[string]*resource{}}
	s.stacks[name] = st
	s.all = append(s.all, st)
	return st
}

type updateStackIn struct {
	desired
	DisableRollback    bool `json:",string"`
	ClientRequestToken string
}

func (s *Service) updateStack(c *caller.Caller, in *updateStackIn) (*stackIDOut, error) {
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "UpdateStack", in.StackName, st, in.Tags); err != nil {
		return nil, err
	}
	if err := mayUpdate(c, st, in.StackName); err != nil {
		return nil, err
	}
	q, err := s.newRequest(&in.desired, st)
	if err != nil {
		return nil, err
	}
	if p, err := s.preview(st, q); err == nil && p.empty(st, q) {
		return nil, validation("No updates are to be performed.")
	}
	st.obsolete()
	s.update(c, st, q, in.DisableRollback)
	return &stackIDOut{st.id}, nil
}

func mayUpdate(c *caller.Caller, st *stack, name string) error {
	if st == nil || !st.existing(c.Now) {
		return validation("Stack [%s] does not exist", name)
	}
	if status := st.shown(c.Now); !slices.Contains(updatable, status) {
		return validation("Stack:%s is in %s state and can not be updated.", st.id, status)
	}
	return nil
}

type stackNameIn struct {
	StackName string
	NextToken string
}

type deleteStackIn struct {
	StackName          string
	ClientRequestToken string
}

// deleteStack of a stack that does not exist is no error, as in CloudFormation.
func (s *Service) deleteStack(c *caller.Caller, in *deleteStackIn) (*wire.Empty, error) {
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "DeleteStack", in.StackName, st, nil); err != nil {
		return nil, err
	}
	if st != nil && st.deleted.IsZero() {
		s.delete(c, st)
	}
	return &wire.Empty{}, nil
}

type describeStacksOut struct {
	Stacks    []stackXML `xml:"Stacks>member"`
	NextToken string     `xml:",omitempty"`
}

func (s *Service) describeStacks(c *caller.Caller, in *stackNameIn) (*describeStacksOut, error) {
	defer s.lock(c)()
	if in.StackName != "" {
		st, err := s.open(c, "DescribeStacks", in.StackName)
		if err != nil {
			return nil, err
		}
		return &describeStacksOut{Stacks: []stackXML{st.xml(c.Now)}}, nil
	}
	if err := c.Authorize(caller.Access{Action: "cloudformation:DescribeStacks", Resource: s.arn("stack", "*", "*")}); err != nil {
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

type listStacksIn struct {
	NextToken         string
	StackStatusFilter []string
}

type summaryXML struct {
	StackID             string `xml:"StackId"`
	StackName           string
	TemplateDescription string `xml:",omitempty"`
	CreationTime        string
	LastUpdatedTime     string `xml:",omitempty"`
	DeletionTime        string `xml:",omitempty"`
	StackStatus         string
	StackStatusReason   string `xml:",omitempty"`
	DriftInformation    driftXML
}

type listStacksOut struct {
	StackSummaries []summaryXML `xml:"StackSummaries>member"`
	NextToken      string       `xml:",omitempty"`
}

func (s *Service) listStacks(c *caller.Caller, in *listStacksIn) (*listStacksOut, error) {
	if err := c.Authorize(caller.Access{Action: "cloudformation:ListStacks", Resource: "*"}); err != nil {
		return nil, err
	}
	defer s.lock(c)()
	var all []summaryXML
	for _, st := range s.all {
		x := st.xml(c.Now)
		if len(in.StackStatusFilter) == 0 || slices.Contains(in.StackStatusFilter, x.StackStatus) {
			all = append(all, summaryXML{
				x.StackID, x.StackName, x.Description, x.CreationTime, x.LastUpdatedTime, x.DeletionTime, x.StackStatus, x.StackStatusReason, x.DriftInformation,
			})
		}
	}
	slices.SortFunc(all, func(a, b summaryXML) int { return strings.Compare(a.StackID, b.StackID) })
	part, next, err := page.Cut(all, func(x summaryXML) string { return x.StackID }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	return &listStacksOut{part, next}, nil
}
