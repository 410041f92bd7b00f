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

type roleMaker struct{}

func (roleMaker) capability(p any) string {
	if m, ok := p.(map[string]any); ok && m["RoleName"] != nil {
		return "CAPABILITY_NAMED_IAM"
	}
	return "CAPABILITY_IAM"
}

func (roleMaker) check(r *resource) error {
	return r.only("RoleName", "Path", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags", "Policies", "ManagedPolicyArns")
}

func (m roleMaker) create(w *work, r *resource) error {
	if err := m.check(r); err != nil {
		return err
	}
	name := r.text("RoleName")
	if name == "" {
		name = w.name(r, 64)
	}
	trust, err := r.document("AssumeRolePolicyDocument")
	if err != nil {
		return err
	}
	in := map[string]any{"RoleName": name, "AssumeRolePolicyDocument": trust, "Tags": w.inherited(r)}
	for _, p := range []string{"Path", "Description", "MaxSessionDuration", "PermissionsBoundary"} {
		if v := r.text(p); v != "" {
			in[p] = v
		}
	}
	out, err := w.iam("CreateRole", in)
	if err != nil {
		return err
	}
	role, _ := out["Role"].(map[string]any)
	r.physicalID = name
	r.attributes = map[string]string{"Arn": text(role["ARN"]), "RoleId": text(role["RoleID"])}
	return m.policies(w, nil, r)
}

// policies makes a role's inline and attached policies what the template says.
func (roleMaker) policies(w *work, old, r *resource) error {
	had, err := inlinePolicies(old)
	if err != nil {
		return err
	}
	want, err := inlinePolicies(r)
	if err != nil {
		return err
	}
	for name, doc := range want {
		if had[name] == doc {
			continue
		}
		if _, err := w.iam("PutRolePolicy", map[string]any{"RoleName": r.physicalID, "PolicyName": name, "PolicyDocument": doc}); err != nil {
			return err
		}
	}
	for name := range had {
		if _, keep := want[name]; keep {
			continue
		}
		if _, err := w.iam("DeleteRolePolicy", map[string]any{"RoleName": r.physicalID, "PolicyName": name}); err != nil && !gone(err) {
			return err
		}
	}
	attached := map[string]bool{}
	if old != nil {
		for _, arn := range old.strings("ManagedPolicyArns") {
			attached[arn] = true
		}
	}
	for _, arn := range r.strings("ManagedPolicyArns") {
		delete(attached, arn)
		if _, err := w.iam("AttachRolePolicy", map[string]any{"RoleName": r.physicalID, "PolicyArn": arn}); err != nil {
			return err
		}
	}
	for arn := range attached {
		if _, err := w.iam("DetachRolePolicy", map[string]any{"RoleName": r.physicalID, "PolicyArn": arn}); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func inlinePolicies(r *resource) (map[string]string, error) {
	out := map[string]string{}
	if r == nil {
		return out, nil
	}
	list, _ := r.properties["Policies"].([]any)
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("a member of Policies is not an object")
		}
		doc, err := documentText(m["PolicyDocument"])
		if err != nil {
			return nil, err
		}
		out[text(m["PolicyName"])] = doc
	}
	return out, nil
}

func (m roleMaker) update(w *work, old, r *resource) error {
	if err := m.check(r); err != nil {
		return err
	}
	trust, err := r.document("AssumeRolePolicyDocument")
	if err != nil {
		return err
	}
	if _, err := w.iam("UpdateAssumeRolePolicy", map[string]any{"RoleName": r.physicalID, "PolicyDocument": trust}); err != nil {
		return err
	}
	settings := map[string]any{"RoleName": r.physicalID, "Description": r.text("Description")}
	if seconds := r.text("MaxSessionDuration"); seconds != "" {
		settings["MaxSessionDuration"] = seconds
	} else if old.text("MaxSessionDuration") != "" {
		settings["MaxSessionDuration"] = "3600"
	}
	if _, err := w.iam("UpdateRole", settings); err != nil {
		return err
	}
	if b := r.text("PermissionsBoundary"); b != "" {
		if _, err := w.iam("PutRolePermissionsBoundary", map[string]any{"RoleName": r.physicalID, "PermissionsBoundary": b}); err != nil {
			return err
		}
	} else if old.text("PermissionsBoundary") != "" {
		if _, err := w.iam("DeleteRolePermissionsBoundary", map[string]any{"RoleName": r.physicalID}); err != nil {
			return err
		}
	}
	if tags := w.inherited(r); len(tags) > 0 {
		if _, err := w.iam("TagRole", map[string]any{"RoleName": r.physicalID, "Tags": tags}); err != nil {
			return err
		}
	}
	if keys := w.obsolete(old, r); len(keys) > 0 {
		if _, err := w.iam("UntagRole", map[string]any{"RoleName": r.physicalID, "TagKeys": keys}); err != nil {
			return err
		}
	}
	return m.policies(w, old, r)
}

func (m roleMaker) remove(w *work, r *resource) error {
	empty := *r
	empty.properties = map[string]any{}
	if err := m.policies(w, r, &empty); err != nil && !gone(err) {
		return err
	}
	_, err := w.iam("DeleteRole", map[string]any{"RoleName": r.physicalID})
	if gone(err) {
		return nil
	}
	return err
}

type managedPolicyMaker struct{}

func (managedPolicyMaker) capability(p any) string {
	if m, ok := p.(map[string]any); ok && m["ManagedPolicyName"] != nil {
		return "CAPABILITY_NAMED_IAM"
	}
	return "CAPABILITY_IAM"
}

func (m managedPolicyMaker) create(w *work, r *resource) error {
	if err := r.only("ManagedPolicyName", "Path", "PolicyDocument", "Description", "Roles"); err != nil {
		return err
	}
	name := r.text("ManagedPolicyName")
	if name == "" {
		name = w.name(r, 128)
	}
	doc, err := r.document("PolicyDocument")
	if err != nil {
		return err
	}
	in := map[string]any{"PolicyName": name, "PolicyDocument": doc}
	for _, p := range []string{"Path", "Description"} {
		if v := r.text(p); v != "" {
			in[p] = v
		}
	}
	out, err := w.iam("CreatePolicy", in)
	if err != nil {
		return err
	}
	policy, _ := out["Policy"].(map[string]any)
	r.physicalID = text(policy["ARN"])
	r.attributes = map[string]string{"PolicyArn": r.physicalID, "PolicyId": text(policy["PolicyID"])}
	return m.attach(w, r)
}

func (managedPolicyMaker) attach(w *work, r *resource) error {
	for _, role := range r.strings("Roles") {
		if _, err := w.iam("AttachRolePolicy", map[string]any{"RoleName": role, "PolicyArn": r.physicalID}); err != nil {
			return err
		}
	}
	return nil
}

func (m managedPolicyMaker) update(w *work, old, r *resource) error {
	before, err := old.document("PolicyDocument")
	if err != nil {
		return err
	}
	doc, err := r.document("PolicyDocument")
	if err != nil {
		return err
	}
	if doc != before {
		out, err := w.iam("GetPolicy", map[string]any{"PolicyArn": r.physicalID})
		if err != nil {
			return err
		}
		policy, _ := out["Policy"].(map[string]any)
		if _, err := w.iam("CreatePolicyVersion", map[string]any{"PolicyArn": r.physicalID, "PolicyDocument": doc, "SetAsDefault": "true"}); err != nil {
			return err
		}
		if _, err := w.iam("DeletePolicyVersion", map[string]any{"PolicyArn": r.physicalID, "VersionId": text(policy["DefaultVersionID"])}); err != nil {
			return err
		}
	}
	for _, role := range old.strings("Roles") {
		if _, err := w.iam("DetachRolePolicy", map[string]any{"RoleName": role, "PolicyArn": r.physicalID}); err != nil && !gone(err) {
			return err
		}
	}
	return m.attach(w, r)
}

func (managedPolicyMaker) remove(w *work, r *resource) error {
	for _, role := range r.strings("Roles") {
		if _, err := w.iam("DetachRolePolicy", map[string]any{"RoleName": role, "PolicyArn": r.physicalID}); err != nil && !gone(err) {
			return err
		}
	}
	_, err := w.iam("DeletePolicy", map[string]any{"PolicyArn": r.physicalID})
	if gone(err) {
		return nil
	}
	return err
}

type inlinePolicyMaker struct{}

func (inlinePolicyMaker) capability(any) string { return "CAPABILITY_IAM" }

func (m inlinePolicyMaker) create(w *work, r *resource) error {
	if err := r.only("PolicyName", "PolicyDocument", "Roles"); err != nil {
		return err
	}
	r.physicalID = w.name(r, 128)
	return m.put(w, r)
}

func (inlinePolicyMaker) put(w *work, r *resource) error {
	doc, err := r.document("PolicyDocument")
	if err != nil {
		return err
	}
	for _, role := range r.strings("Roles") {
		if _, err := w.iam("PutRolePolicy", map[string]any{"RoleName": role, "PolicyName": r.text("PolicyName"), "PolicyDocument": doc}); err != nil {
			return err
		}
	}
	return nil
}

func (m inlinePolicyMaker) update(w *work, old, r *resource) error {
	if err := m.remove(w, old); err != nil {
		return err
	}
	return m.put(w, r)
}

func (inlinePolicyMaker) remove(w *work, r *resource) error {
	for _, role := range r.strings("Roles") {
		if _, err := w.iam("DeleteRolePolicy", map[string]any{"RoleName": role, "PolicyName": r.text("PolicyName")}); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

type repositoryMaker struct{}

func (repositoryMaker) capability(any) string { return "" }

func (repositoryMaker) create(w *work, r *resource) error {
	if err := r.only("RepositoryName", "ImageTagMutability", "Tags", "RepositoryPolicyText", "LifecyclePolicy"); err != nil {
		return err
	}
	name := r.text("RepositoryName")
	if name == "" {
		name = strings.ToLower(w.name(r, 256))
	}
	in := map[string]any{"repositoryName": name, "tags": w.inherited(r)}
	if v := r.text("ImageTagMutability"); v != "" {
		in["imageTagMutability"] = v
	}
	out, err := w.ecr("CreateRepository", in)
	if err != nil {
		return err
	}
	repository, _ := out["repository"].(map[string]any)
	r.physicalID = name
	r.attributes = map[string]string{"Arn": text(repository["repositoryArn"]), "RepositoryUri": text(repository["repositoryUri"])}
	return repositoryMaker{}.policies(w, r)
}

func (repositoryMaker) policies(w *work, r *resource) error {
	if r.properties["RepositoryPolicyText"] != nil {
		doc, err := r.document("RepositoryPolicyText")
		if err != nil {
			return err
		}
		if _, err := w.ecr("SetRepositoryPolicy", map[string]any{"repositoryName": r.physicalID, "policyText": doc}); err != nil {
			return err
		}
	}
	if m, ok := r.properties["LifecyclePolicy"].(map[string]any); ok {
		if _, err := w.ecr("PutLifecyclePolicy", map[string]any{"repositoryName": r.physicalID, "lifecyclePolicyText": text(m["LifecyclePolicyText"])}); err != nil {
			return err
		}
	}
	return nil
}

func (m repositoryMaker) update(w *work, old, r *resource) error {
	mutability := r.text("ImageTagMutability")
	if mutability == "" {
		mutability = "MUTABLE"
	}
	if _, err := w.ecr("PutImageTagMutability", map[string]any{"repositoryName": r.physicalID, "imageTagMutability": mutability}); err != nil {
		return err
	}
	if tags := w.inherited(r); len(tags) > 0 {
		if _, err := w.ecr("TagResource", map[string]any{"resourceArn": r.attributes["Arn"], "tags": tags}); err != nil {
			return err
		}
	}
	if keys := w.obsolete(old, r); len(keys) > 0 {
		if _, err := w.ecr("UntagResource", map[string]any{"resourceArn": r.attributes["Arn"], "tagKeys": keys}); err != nil {
			return err
		}
	}
	for property, operation := range map[string]string{"RepositoryPolicyText": "DeleteRepositoryPolicy", "LifecyclePolicy": "DeleteLifecyclePolicy"} {
		if old.properties[property] != nil && r.properties[property] == nil {
			if _, err := w.ecr(operation, map[string]any{"repositoryName": r.physicalID}); err != nil && !gone(err) {
				return err
			}
		}
	}
	return m.policies(w, r)
}

func (repositoryMaker) remove(w *work, r *resource) error {
	_, err := w.ecr("DeleteRepository", map[string]any{"repositoryName": r.physicalID})
	if gone(err) {
		return nil
	}
	return err
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
