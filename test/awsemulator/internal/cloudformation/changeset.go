package cloudformation

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

// changeSet is a change that was proposed for a stack.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
type changeSet struct {
	id, name, description string
	created, ready        time.Time
	request               *request
	changes               []resourceChangeXML
	onFailure             string
	nested                bool
	status, reason        string // when ready
	execution             string // when ready: AVAILABLE, UNAVAILABLE, OBSOLETE, EXECUTE_COMPLETE, EXECUTE_FAILED
}

var changeSetName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

const noChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

func (cs *changeSet) shown(now time.Time) (status, execution string) {
	if now.Before(cs.ready) {
		return "CREATE_IN_PROGRESS", "UNAVAILABLE"
	}
	return cs.status, cs.execution
}

// obsolete makes change sets that wait for their execution unusable: the stack is another now.
func (s *stack) obsolete() {
	for _, cs := range s.changeSets {
		if cs.execution == "AVAILABLE" {
			cs.execution = "OBSOLETE"
		}
	}
}

// openChangeSet finds a change set for an action, by its ARN or by its name and its stack's.
func (s *Service) openChangeSet(c *caller.Caller, action, name, stackName string) (*stack, *changeSet, error) {
	if !strings.HasPrefix(name, "arn:") {
		if stackName == "" {
			return nil, nil, validation("StackName must be specified if ChangeSetName is not specified as an ARN.")
		}
		st := s.find(stackName)
		if err := s.authorize(c, action, stackName, st, nil); err != nil {
			return nil, nil, err
		}
		if st == nil {
			return nil, nil, validation("Stack [%s] does not exist", stackName)
		}
		for _, cs := range st.changeSets {
			if cs.name == name {
				return st, cs, nil
			}
		}
		return nil, nil, noChangeSet(name)
	}
	for _, st := range s.all {
		for _, cs := range st.changeSets {
			if cs.id == name {
				return st, cs, s.authorize(c, action, st.name, st, nil)
			}
		}
	}
	if err := s.authorize(c, action, "*", nil, nil); err != nil {
		return nil, nil, err
	}
	return nil, nil, noChangeSet(name)
}

func noChangeSet(name string) error {
	return apierror.WithStatus(404, "ChangeSetNotFound", "ChangeSet [%s] does not exist", name)
}

// propose makes a change set of a request.
func (s *Service) propose(st *stack, cs *changeSet) {
	cs.status, cs.execution = "CREATE_COMPLETE", "AVAILABLE"
	p, err := s.preview(st, cs.request)
	switch {
	case err != nil:
		cs.status, cs.execution, cs.reason = "FAILED", "UNAVAILABLE", err.Error()
		return
	case !st.review() && p.empty(st, cs.request):
		cs.status, cs.execution, cs.reason = "FAILED", "UNAVAILABLE", noChanges
	}
	cs.changes = p.changes
}

func (s *Service) execute(c *caller.Caller, st *stack, cs *changeSet, noRollback bool) error {
	status, execution := cs.shown(c.Now)
	if status != "CREATE_COMPLETE" {
		return apierror.New("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", cs.id, status)
	}
	if execution != "AVAILABLE" {
		return apierror.New("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current execution status of [%s]", cs.id, execution)
	}
	// The others do not fit the stack any more: AWS deletes them.
	st.changeSets = slices.DeleteFunc(st.changeSets, func(other *changeSet) bool { return other != cs })
	cs.execution, st.changeSetID = "EXECUTE_COMPLETE", cs.id
	if st.review() {
		onFailure := rollBack
		if noRollback {
			onFailure = doNothing
		} else if cs.onFailure != "" {
			onFailure = cs.onFailure
		}
		st.updated, st.noRollback = c.Now, onFailure == doNothing
		s.create(c, st, cs.request, onFailure)
	} else {
		s.update(c, st, cs.request, noRollback || cs.onFailure == doNothing)
	}
	if st.status != "CREATE_COMPLETE" && st.status != "UPDATE_COMPLETE" {
		cs.execution = "EXECUTE_FAILED"
	}
	return nil
}
