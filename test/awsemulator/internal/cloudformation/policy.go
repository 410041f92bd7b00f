package cloudformation

// managedPolicyMaker: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-managedpolicy.html
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

// inlinePolicyMaker: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-policy.html
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
