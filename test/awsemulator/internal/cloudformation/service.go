// Package cloudformation is CloudFormation's Query API: stacks with tags, parameters and outputs, change sets, and a few types of
// resources.
package cloudformation

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Namespace is the XML namespace of CloudFormation's answers.
const Namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

// Limits: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxTemplate   = 51_200
	maxOutputs    = 200
	stacksPage    = 100
	eventsPage    = 100
	resourcesPage = 100
)

// Settings are the stacks' place and what they are made with.
type Settings struct {
	Account, Region string
	Clock           *clock.Clock
	Delay           time.Duration // how long a stack or change set is IN_PROGRESS
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
		"DescribeStackResource":  wire.Op(s.describeStackResource),
		"DescribeStackResources": wire.Op(s.describeStackResources),
		"ListStackResources":     wire.Op(s.listStackResources),
		"GetTemplate":            wire.Op(s.getTemplate),
		"GetTemplateSummary":     wire.Op(s.getTemplateSummary),
		"ValidateTemplate":       wire.Op(s.validateTemplate),
		"CreateChangeSet":        wire.Op(s.createChangeSet),
		"DescribeChangeSet":      wire.Op(s.describeChangeSet),
		"ExecuteChangeSet":       wire.Op(s.executeChangeSet),
		"DeleteChangeSet":        wire.Op(s.deleteChangeSet),
		"ListChangeSets":         wire.Op(s.listChangeSets),
		"ListExports":            wire.Op(s.listExports),
		"ListImports":            wire.Op(s.listImports),
	}
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

func (s *Service) arn(kind, name, id string) string {
	return "arn:aws:cloudformation:" + s.settings.Region + ":" + s.settings.Account + ":" + kind + "/" + name + "/" + id
}

// lock begins an operation and returns its end. It frees the names of stacks whose deletion is done.
func (s *Service) lock(c *caller.Caller) (unlock func()) {
	s.mu.Lock()
	for name, st := range s.stacks {
		if !st.existing(c.Now) {
			delete(s.stacks, name)
		}
	}
	return s.mu.Unlock
}

// find takes a name or an ID. Deleted stacks are found by their ID alone. Callers hold the lock.
func (s *Service) find(name string) *stack {
	if st := s.stacks[name]; st != nil {
		return st
	}
	if i := slices.IndexFunc(s.all, func(st *stack) bool { return st.id == name }); i >= 0 {
		return s.all[i]
	}
	return nil
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

func (s *Service) authorize(c *caller.Caller, action, name string, st *stack, requested []tag.Tag) error {
	resource := s.arn("stack", name, "*")
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
