package iam

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type policyXML struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	ARN                           string `xml:"Arn"`
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
	Tags                          []tag.Tag `xml:"Tags>member"`
}

type policyOut struct{ Policy policyXML }

func (d *Directory) policyXML(p *managedPolicy) policyXML {
	out := policyXML{
		PolicyName: p.name, PolicyID: p.id, ARN: p.arn, Path: p.path, DefaultVersionID: "v" + strconv.Itoa(p.standard), IsAttachable: true,
		Description: p.description, CreateDate: stamp(p.created), UpdateDate: stamp(p.updated), Tags: tag.List(p.tags),
	}
	for _, r := range d.roles {
		if slices.Contains(r.attached, p.arn) {
			out.AttachmentCount++
		}
		if r.boundary == p.arn {
			out.PermissionsBoundaryUsageCount++
		}
	}
	return out
}

// openPolicy finds a managed policy for an action that the caller must be allowed. Callers hold a lock.
func (d *Directory) openPolicy(c *caller.Caller, action, arn string) (*managedPolicy, error) {
	if !strings.HasPrefix(arn, "arn:aws:iam::") {
		return nil, validation("ARN %s is not valid.", arn)
	}
	p := d.policies[arn]
	var tags map[string]string
	if p != nil {
		tags = p.tags
	}
	if err := d.authorize(c, action, arn, tags, nil); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, noSuchEntity("Policy %s was not found.", arn)
	}
	return p, nil
}

// openOwn is openPolicy for changes: AWS' own policies can't be changed.
func (d *Directory) openOwn(c *caller.Caller, action, arn string) (*managedPolicy, error) {
	p, err := d.openPolicy(c, action, arn)
	if err != nil {
		return nil, err
	}
	if p.aws {
		return nil, validation("Cannot modify AWS managed policies.")
	}
	return p, nil
}

// changed makes a managed policy's new default version act on all roles that use it.
func (d *Directory) changed(p *managedPolicy) error {
	p.updated = d.settings.Clock.Now()
	for _, r := range d.roles {
		if slices.Contains(r.attached, p.arn) || r.boundary == p.arn {
			if err := d.remember(r); err != nil {
				return fmt.Errorf("role %s: %w", r.name, err)
			}
		}
	}
	return nil
}

type createPolicyIn struct {
	PolicyName     string
	Path           string
	PolicyDocument string
	Description    string
	Tags           []tag.Tag
}

func (d *Directory) createPolicy(c *caller.Caller, in *createPolicyIn) (*policyOut, error) {
	if err := checkName("policyName", in.PolicyName, maxPolicyName); err != nil {
		return nil, err
	}
	if in.Path == "" {
		in.Path = "/"
	}
	if !pathPattern.MatchString(in.Path) {
		return nil, validation("The specified value for path is invalid.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	tags, err := tag.Merge(nil, in.Tags)
	if err != nil {
		return nil, limitExceeded("%s", sentence(err.Error()))
	}
	arn := "arn:aws:iam::" + d.settings.Account + ":policy" + in.Path + in.PolicyName
	if err := d.authorize(c, "CreatePolicy", arn, nil, tag.Requested(in.Tags)); err != nil {
		return nil, err
	}
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.policies {
		if !p.aws && strings.EqualFold(p.name, in.PolicyName) {
			return nil, alreadyExists("A policy called %s already exists. Duplicate names are not allowed.", in.PolicyName)
		}
	}
	now := d.settings.Clock.Now()
	p := &managedPolicy{
		id: NewID("ANPA"), name: in.PolicyName, path: in.Path, arn: arn, description: in.Description, created: now, updated: now,
		standard: 1, next: 2, tags: tags, versions: map[int]policyVersion{1: {in.PolicyDocument, now}},
	}
	d.policies[arn] = p
	return &policyOut{d.policyXML(p)}, nil
}

func checkManaged(text string) error {
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateManaged()
	}
	if err != nil {
		return malformed(err)
	}
	if squeezed(text) > maxManaged {
		return limitExceeded("Cannot exceed quota for PolicySize: %d", maxManaged)
	}
	return nil
}

type policyARNIn struct{ PolicyArn string }

func (d *Directory) getPolicy(c *caller.Caller, in *policyARNIn) (*policyOut, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p, err := d.openPolicy(c, "GetPolicy", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &policyOut{d.policyXML(p)}, nil
}

func (d *Directory) deletePolicy(c *caller.Caller, in *policyARNIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.openOwn(c, "DeletePolicy", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	x := d.policyXML(p)
	switch {
	case x.AttachmentCount > 0 || x.PermissionsBoundaryUsageCount > 0:
		return nil, deleteConflict("Cannot delete a policy attached to entities.")
	case len(p.versions) > 1:
		return nil, deleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	delete(d.policies, p.arn)
	return &wire.Empty{}, nil
}

type listPoliciesIn struct {
	Scope        string
	OnlyAttached bool `json:",string"`
	PathPrefix   string
	Marker       string
	MaxItems     int `json:",string"`
}

type listPoliciesOut struct {
	Policies    []policyXML `xml:"Policies>member"`
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (d *Directory) listPolicies(c *caller.Caller, in *listPoliciesIn) (*listPoliciesOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	if err := d.authorize(c, "ListPolicies", "*", nil, nil); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []policyXML
	for _, p := range d.policies {
		if (in.Scope == "Local" && p.aws) || (in.Scope == "AWS" && !p.aws) || !strings.HasPrefix(p.path, in.PathPrefix) {
			continue
		}
		x := d.policyXML(p)
		x.Description, x.Tags = "", nil // left out by ListPolicies
		if in.OnlyAttached && x.AttachmentCount == 0 {
			continue
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b policyXML) int { return strings.Compare(a.ARN, b.ARN) })
	part, next, err := page.Cut(all, func(p policyXML) string { return p.ARN }, in.Marker, size)
	if err != nil {
		return nil, validation("Invalid Marker.")
	}
	return &listPoliciesOut{part, next != "", next}, nil
}
