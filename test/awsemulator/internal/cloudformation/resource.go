package cloudformation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// resource is one thing that a stack made.
type resource struct {
	logicalID, kind string
	physicalID      string
	attributes      map[string]string
	properties      map[string]any
	metadata        any
	status          string
	changed         time.Time
	retain          bool
	retainReplace   bool
}

// maker makes, changes and removes resources of one type with the rights of the stack's caller, as CloudFormation does where a
// stack has no service role.
type maker interface {
	capability(properties any) string // "", CAPABILITY_IAM or CAPABILITY_NAMED_IAM
	create(w *work, r *resource) error
	update(w *work, old, r *resource) error // r has old's physical ID and attributes, and new properties
	remove(w *work, r *resource) error
}

// kind is a type of resources.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
type kind struct {
	maker
	attributes      []string // what Fn::GetAtt reads
	otherAttributes []string // what it reads in AWS too, and not here
	replacing       []string // properties that can't be changed: another value makes another resource
	name            string   // the property that names the resource
	tagged          bool     // the stack's tags are its tags
}

var kinds = map[string]kind{
	"AWS::IAM::Role": {
		maker: roleMaker{}, attributes: []string{"Arn", "RoleId"}, replacing: []string{"RoleName", "Path"}, name: "RoleName", tagged: true,
	},
	"AWS::IAM::ManagedPolicy": {
		maker: managedPolicyMaker{}, attributes: []string{"PolicyArn", "PolicyId"},
		otherAttributes: []string{"AttachmentCount", "CreateDate", "DefaultVersionId", "IsAttachable", "PermissionsBoundaryUsageCount", "UpdateDate"},
		replacing:       []string{"ManagedPolicyName", "Path", "Description"}, name: "ManagedPolicyName",
	},
	"AWS::IAM::Policy": {maker: inlinePolicyMaker{}, otherAttributes: []string{"Id"}},
	"AWS::ECR::Repository": {
		maker: repositoryMaker{}, attributes: []string{"Arn", "RepositoryUri"}, replacing: []string{"RepositoryName"}, name: "RepositoryName", tagged: true,
	},
	"AWS::CloudFormation::WaitConditionHandle": {maker: handleMaker{}},
}

// work is one pass over a stack's resources.
type work struct {
	service *Service
	caller  *caller.Caller
	stack   *stack
	tags    []tag.Tag // of the stack, which resources inherit
	hadTags []tag.Tag // those that they inherited before
}

// call runs an operation of another service.
func (w *work) call(operations map[string]wire.Operation, name string, in any) (map[string]any, error) {
	out, err := operations[name](w.caller, func(into any) error {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		return json.Unmarshal(body, into)
	})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, json.Unmarshal(body, &m)
}

func (w *work) iam(name string, in map[string]any) (map[string]any, error) {
	return w.call(w.service.settings.IAM, name, in)
}

func (w *work) ecr(name string, in map[string]any) (map[string]any, error) {
	return w.call(w.service.settings.ECR, name, in)
}

// name is a physical ID as CloudFormation makes it: stack, logical ID, random characters.
func (w *work) name(r *resource, limit int) string {
	random := strings.ToUpper(newID(6))
	s := w.stack.name + "-" + r.logicalID
	if len(s) > limit-len(random)-1 {
		s = s[:limit-len(random)-1]
	}
	return s + "-" + random
}

func (r *resource) text(name string) string { return text(r.properties[name]) }

// document is a policy property as text: it is an object in the template.
func (r *resource) document(name string) (string, error) {
	return documentText(r.properties[name])
}

func documentText(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	body, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode policy: %w", err)
	}
	return string(body), nil
}

func (r *resource) strings(name string) []string {
	list, _ := r.properties[name].([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}

// inherited are the stack's tags overlaid with the resource's own.
func (w *work) inherited(r *resource) []tag.Tag { return inherited(w.tags, r) }

// obsolete are the keys of the tags that an update takes away.
func (w *work) obsolete(old, r *resource) []string {
	var keys []string
	now := w.inherited(r)
	for _, t := range inherited(w.hadTags, old) {
		if !slices.ContainsFunc(now, func(x tag.Tag) bool { return x.Key == t.Key }) {
			keys = append(keys, t.Key)
		}
	}
	return keys
}

func inherited(stackTags []tag.Tag, r *resource) []tag.Tag {
	all := map[string]string{}
	for _, t := range stackTags {
		all[t.Key] = t.Value
	}
	list, _ := r.properties["Tags"].([]any)
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			all[text(m["Key"])] = text(m["Value"])
		}
	}
	return tag.List(all)
}

// only refuses properties that would be silently ignored.
func (r *resource) only(names ...string) error {
	for p := range r.properties {
		known := false
		for _, n := range names {
			known = known || n == p
		}
		if !known {
			return fmt.Errorf("property %s of %s is not emulated", p, r.kind)
		}
	}
	return nil
}

func gone(err error) bool {
	if err == nil {
		return false
	}
	e := apierror.As(err)
	return e.Status == http.StatusNotFound || strings.HasSuffix(e.Code, "NotFoundException")
}

// handleMaker is the resource that templates without real resources use.
type handleMaker struct{}

func (handleMaker) capability(any) string { return "" }

func (handleMaker) create(w *work, r *resource) error {
	r.physicalID = "https://cloudformation-waitcondition-" + w.caller.Region + ".s3.amazonaws.com/" + newID(16)
	return nil
}

func (handleMaker) update(*work, *resource, *resource) error { return nil }

func (handleMaker) remove(*work, *resource) error { return nil }
