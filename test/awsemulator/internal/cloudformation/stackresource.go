package cloudformation

import (
	"slices"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

type resourceDriftXML struct {
	Status string `xml:"StackResourceDriftStatus"`
}

var notChecked = resourceDriftXML{"NOT_CHECKED"}

type resourceXML struct {
	StackName          string
	StackID            string `xml:"StackId"`
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId"`
	ResourceType       string
	Timestamp          string
	ResourceStatus     string
	DriftInformation   resourceDriftXML
}

type resourcesIn struct {
	StackName          string
	LogicalResourceID  string `json:"LogicalResourceId"`
	PhysicalResourceID string `json:"PhysicalResourceId"`
}

type resourcesOut struct {
	StackResources []resourceXML `xml:"StackResources>member"`
}

// describeStackResources takes a stack, or the physical ID of one of its resources.
func (s *Service) describeStackResources(c *caller.Caller, in *resourcesIn) (*resourcesOut, error) {
	defer s.lock(c)()
	if in.StackName == "" {
		in.StackName = s.owner(in.PhysicalResourceID)
		if in.StackName == "" {
			return nil, validation("Stack for %s does not exist", in.PhysicalResourceID)
		}
	}
	st, err := s.open(c, "DescribeStackResources", in.StackName)
	if err != nil {
		return nil, err
	}
	out := &resourcesOut{}
	for _, id := range st.order {
		r := st.resources[id]
		if in.LogicalResourceID != "" && in.LogicalResourceID != id {
			continue
		}
		out.StackResources = append(out.StackResources, resourceXML{st.name, st.id, id, r.physicalID, r.kind, stamp(r.changed), r.status, notChecked})
	}
	if in.LogicalResourceID != "" && len(out.StackResources) == 0 {
		return nil, noResource(in.LogicalResourceID, st)
	}
	return out, nil
}

func noResource(id string, st *stack) error {
	return validation("Resource %s does not exist for stack %s", id, st.name)
}

// owner is the name of the stack that has a resource.
func (s *Service) owner(physicalID string) string {
	for name, st := range s.stacks {
		for _, r := range st.resources {
			if r.physicalID == physicalID {
				return name
			}
		}
	}
	return ""
}

type detailedResourceXML struct {
	StackName            string
	StackID              string `xml:"StackId"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	LastUpdatedTimestamp string
	ResourceStatus       string
	Metadata             string `xml:",omitempty"`
	DriftInformation     resourceDriftXML
}

type resourceIn struct {
	StackName         string
	LogicalResourceID string `json:"LogicalResourceId"`
}

type resourceOut struct {
	StackResourceDetail detailedResourceXML
}

func (s *Service) describeStackResource(c *caller.Caller, in *resourceIn) (*resourceOut, error) {
	defer s.lock(c)()
	st := s.find(in.StackName)
	if err := s.authorize(c, "DescribeStackResource", in.StackName, st, nil); err != nil {
		return nil, err
	}
	if st == nil {
		return nil, validation("Stack '%s' does not exist", in.StackName)
	}
	r := st.resources[in.LogicalResourceID]
	if r == nil {
		return nil, noResource(in.LogicalResourceID, st)
	}
	x := detailedResourceXML{st.name, st.id, r.logicalID, r.physicalID, r.kind, stamp(r.changed), r.status, "", notChecked}
	if r.metadata != nil {
		x.Metadata, _ = documentText(r.metadata) // it came from a template: it can be encoded
	}
	return &resourceOut{x}, nil
}

type resourceSummaryXML struct {
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	LastUpdatedTimestamp string
	ResourceStatus       string
	DriftInformation     resourceDriftXML
}

type listResourcesOut struct {
	StackResourceSummaries []resourceSummaryXML `xml:"StackResourceSummaries>member"`
	NextToken              string               `xml:",omitempty"`
}

func (s *Service) listStackResources(c *caller.Caller, in *stackNameIn) (*listResourcesOut, error) {
	defer s.lock(c)()
	st, err := s.open(c, "ListStackResources", in.StackName)
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(slices.Values(st.order))
	part, next, err := page.Cut(ids, func(id string) string { return id }, in.NextToken, resourcesPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	out := &listResourcesOut{NextToken: next}
	for _, id := range part {
		r := st.resources[id]
		out.StackResourceSummaries = append(out.StackResourceSummaries, resourceSummaryXML{id, r.physicalID, r.kind, stamp(r.changed), r.status, notChecked})
	}
	return out, nil
}
