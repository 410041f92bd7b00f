package cloudformation

import "fmt"

// roleMaker: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html
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
