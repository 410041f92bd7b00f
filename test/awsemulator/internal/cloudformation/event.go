package cloudformation

import (
	"fmt"
	"slices"
	"time"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// event is one line of a stack's history.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
type event struct {
	at                          time.Time
	id                          string
	logicalID, physicalID, kind string
	properties                  string // as JSON
	status, reason              string
}

// note appends an event of a resource and makes its status the resource's.
func (s *stack) note(at time.Time, r *resource, status, reason string) {
	r.status, r.changed = status, at
	properties, _ := documentText(r.properties) // it came from a template: it can be encoded
	// Two events of one moment differ in the last digits of their IDs.
	id := r.logicalID + "-" + status + "-" + stamp(at.Add(time.Duration(len(s.events))*time.Millisecond))
	s.events = append(s.events, event{at, id, r.logicalID, r.physicalID, r.kind, properties, status, reason})
}

func (s *stack) noteStack(at time.Time, status, reason string) {
	s.reason = reason
	s.events = append(s.events, event{at: at, id: newUUID(), logicalID: s.name, physicalID: s.id, kind: stackKind, status: status, reason: reason})
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
	ResourceProperties   string `xml:",omitempty"`
}

type eventsOut struct {
	StackEvents []eventXML `xml:"StackEvents>member"`
	NextToken   string     `xml:",omitempty"`
}

// describeStackEvents answers the newest first. The end of an operation comes into sight when the stack is ready.
func (s *Service) describeStackEvents(c *caller.Caller, in *stackNameIn) (*eventsOut, error) {
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "DescribeStackEvents", in.StackName, st, nil); err != nil {
		return nil, err
	}
	if st == nil {
		return nil, validation("Stack [%s] does not exist", in.StackName)
	}
	type numbered struct {
		key string
		event
	}
	var shown []numbered
	for i, e := range slices.Backward(st.events) {
		if !e.at.After(c.Now) {
			shown = append(shown, numbered{fmt.Sprintf("%09d", 999_999_999-i), e})
		}
	}
	part, next, err := page.Cut(shown, func(n numbered) string { return n.key }, in.NextToken, eventsPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	out := &eventsOut{NextToken: next}
	for _, e := range part {
		out.StackEvents = append(out.StackEvents, eventXML{
			st.id, e.id, st.name, e.logicalID, e.physicalID, e.kind, stamp(e.at), e.status, e.reason, e.properties,
		})
	}
	return out, nil
}
