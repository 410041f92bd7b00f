package cloudformation

import "strings"

// repositoryMaker: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html
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
