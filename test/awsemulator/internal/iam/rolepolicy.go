package iam

import (
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type rolePolicyIn struct {
	RoleName       string
	PolicyName     string
	PolicyDocument string
}

func (d *Directory) putRolePolicy(c *caller.Caller, in *rolePolicyIn) (*wire.Empty, error) {
	if err := checkName("policyName", in.PolicyName, maxPolicyName); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "PutRolePolicy", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if err := checkIdentityPolicy(in.PolicyDocument); err != nil {
		return nil, err
	}
	size := squeezed(in.PolicyDocument)
	for name, text := range r.inline {
		if name != in.PolicyName {
			size += squeezed(text)
		}
	}
	if size > maxInline {
		return nil, limitExceeded("Maximum policy size of %d bytes exceeded for role %s", maxInline, r.name)
	}
	r.inline[in.PolicyName] = in.PolicyDocument
	return &wire.Empty{}, d.remember(r)
}

type rolePolicyOut struct {
	RoleName       string
	PolicyName     string
	PolicyDocument string
}

func (d *Directory) getRolePolicy(c *caller.Caller, in *rolePolicyIn) (*rolePolicyOut, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, err := d.open(c, "GetRolePolicy", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	text, ok := r.inline[in.PolicyName]
	if !ok {
		return nil, noSuchEntity("The role policy with name %s cannot be found.", in.PolicyName)
	}
	return &rolePolicyOut{r.name, in.PolicyName, encoded(text)}, nil
}

func (d *Directory) deleteRolePolicy(c *caller.Caller, in *rolePolicyIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "DeleteRolePolicy", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if _, ok := r.inline[in.PolicyName]; !ok {
		return nil, noSuchEntity("The role policy with name %s cannot be found.", in.PolicyName)
	}
	delete(r.inline, in.PolicyName)
	return &wire.Empty{}, d.remember(r)
}

type listRolePoliciesOut struct {
	PolicyNames []string `xml:"PolicyNames>member"`
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (d *Directory) listRolePolicies(c *caller.Caller, in *listRoleTagsIn) (*listRolePoliciesOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, err := d.open(c, "ListRolePolicies", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(r.inline))
	part, next, err := page.Cut(names, func(s string) string { return s }, in.Marker, size)
	if err != nil {
		return nil, validation("Invalid Marker.")
	}
	return &listRolePoliciesOut{part, next != "", next}, nil
}

type attachIn struct {
	RoleName  string
	PolicyArn string
}

func (d *Directory) attachRolePolicy(c *caller.Caller, in *attachIn) (*wire.Empty, error) {
	ctx := policy.Context{}
	ctx.Set("iam:PolicyARN", in.PolicyArn)
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "AttachRolePolicy", in.RoleName, ctx)
	if err != nil {
		return nil, err
	}
	if d.policies[in.PolicyArn] == nil {
		return nil, noSuchEntity("Policy %s does not exist or is not attachable.", in.PolicyArn)
	}
	if slices.Contains(r.attached, in.PolicyArn) {
		return &wire.Empty{}, nil
	}
	if len(r.attached) >= maxAttached {
		return nil, limitExceeded("Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
	}
	r.attached = append(slices.Clone(r.attached), in.PolicyArn)
	return &wire.Empty{}, d.remember(r)
}

func (d *Directory) detachRolePolicy(c *caller.Caller, in *attachIn) (*wire.Empty, error) {
	ctx := policy.Context{}
	ctx.Set("iam:PolicyARN", in.PolicyArn)
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "DetachRolePolicy", in.RoleName, ctx)
	if err != nil {
		return nil, err
	}
	i := slices.Index(r.attached, in.PolicyArn)
	if i < 0 {
		return nil, noSuchEntity("Policy %s was not found.", in.PolicyArn)
	}
	r.attached = slices.Delete(slices.Clone(r.attached), i, i+1)
	return &wire.Empty{}, d.remember(r)
}

type attachedXML struct {
	PolicyName string
	PolicyArn  string
}

type listAttachedIn struct {
	RoleName   string
	PathPrefix string
	Marker     string
	MaxItems   int `json:",string"`
}

type listAttachedOut struct {
	AttachedPolicies []attachedXML `xml:"AttachedPolicies>member"`
	IsTruncated      bool
	Marker           string `xml:",omitempty"`
}

func (d *Directory) listAttachedRolePolicies(c *caller.Caller, in *listAttachedIn) (*listAttachedOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, err := d.open(c, "ListAttachedRolePolicies", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	var all []attachedXML
	for _, arn := range r.attached {
		if p := d.policies[arn]; p != nil && strings.HasPrefix(p.path, in.PathPrefix) {
			all = append(all, attachedXML{p.name, arn})
		}
	}
	slices.SortFunc(all, func(a, b attachedXML) int { return strings.Compare(a.PolicyArn, b.PolicyArn) })
	part, next, err := page.Cut(all, func(a attachedXML) string { return a.PolicyArn }, in.Marker, size)
	if err != nil {
		return nil, validation("Invalid Marker.")
	}
	return &listAttachedOut{part, next != "", next}, nil
}
