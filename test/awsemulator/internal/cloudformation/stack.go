package cloudformation

import (
	"maps"
	"slices"
	"time"

	"imagecache.dev/test/awsemulator/internal/tag"
)

const stackKind = "AWS::CloudFormation::Stack"

type stack struct {
	id, name, text string
	template       *template
	created        time.Time
	updated        time.Time
	deleted        time.Time
	capabilities   []string
	parameters     map[string]string
	tags           []tag.Tag
	noRollback     bool
	resources      map[string]*resource
	order          []string // in which resources were made
	outputs        []outputXML
	imports        []string // names of other stacks' exports
	events         []event
	changeSets     []*changeSet
	changeSetID    string // of the change set that was executed last

	// A change is done at once and shown when its time has come: until ready, the status is busy.
	ready        time.Time
	busy, status string
	reason       string // of the last event of the stack itself
}

func (s *stack) shown(now time.Time) string {
	if now.Before(s.ready) {
		return s.busy
	}
	return s.status
}

// begin notes the start of an operation that is over at ready.
func (s *stack) begin(now time.Time, delay time.Duration, status, reason string) {
	s.busy, s.ready = status, now.Add(delay)
	s.noteStack(now, status, reason)
}

// end notes the end of an operation, which clients see when the stack is ready.
func (s *stack) end(status, reason string) {
	s.status = status
	s.noteStack(s.ready, status, reason)
}

func (s *stack) existing(now time.Time) bool { return s.deleted.IsZero() || now.Before(s.ready) }

// review tells whether the stack is but a place for change sets so far.
func (s *stack) review() bool { return s.status == "REVIEW_IN_PROGRESS" }

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

type driftXML struct {
	Status string `xml:"StackDriftStatus"`
}

type stackXML struct {
	StackID                     string `xml:"StackId"`
	StackName                   string
	ChangeSetID                 string `xml:"ChangeSetId,omitempty"`
	Description                 string `xml:",omitempty"`
	CreationTime                string
	LastUpdatedTime             string `xml:",omitempty"`
	DeletionTime                string `xml:",omitempty"`
	StackStatus                 string
	StackStatusReason           string `xml:",omitempty"`
	DisableRollback             bool
	EnableTerminationProtection bool
	DriftInformation            driftXML
	Capabilities                []string       `xml:"Capabilities>member"`
	Parameters                  []parameterXML `xml:"Parameters>member"`
	Outputs                     []outputXML    `xml:"Outputs>member"`
	Tags                        []tag.Tag      `xml:"Tags>member"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *stack) xml(now time.Time) stackXML {
	x := stackXML{
		StackID: s.id, StackName: s.name, ChangeSetID: s.changeSetID, CreationTime: stamp(s.created), LastUpdatedTime: stamp(s.updated),
		StackStatus: s.shown(now), DisableRollback: s.noRollback, DriftInformation: driftXML{"NOT_CHECKED"}, Capabilities: s.capabilities, Tags: s.tags,
	}
	if !now.Before(s.ready) {
		x.StackStatusReason, x.Outputs, x.DeletionTime = s.reason, s.outputs, stamp(s.deleted)
	}
	if s.template != nil {
		x.Description = s.template.description
		x.Parameters = shownParameters(s.template, s.parameters)
	}
	return x
}

// shownParameters hides the values of parameters with NoEcho.
func shownParameters(t *template, values map[string]string) (out []parameterXML) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		v := values[k]
		if t.parameters[k].noEcho {
			v = "****"
		}
		out = append(out, parameterXML{k, v})
	}
	return out
}
