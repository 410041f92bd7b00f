package iam

import (
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string       `xml:",omitempty"`
	MaxSessionDuration       int          `xml:",omitempty"`
	PermissionsBoundary      *boundaryXML `xml:",omitempty"`
	RoleLastUsed             *lastUsedXML `xml:",omitempty"`
	Tags                     []tag.Tag    `xml:"Tags>member"`
}

// lastUsedXML is empty for a role that was never used.
type lastUsedXML struct {
	LastUsedDate string `xml:",omitempty"`
	Region       string `xml:",omitempty"`
}

type boundaryXML struct {
	Type string `xml:"PermissionsBoundaryType"`
	ARN  string `xml:"PermissionsBoundaryArn"`
}

type roleOut struct{ Role roleXML }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// xml is the role as the API shows it. Principals of the trust policy whose role is gone are shown by their ID, as IAM does.
func (d *Directory) xml(r *role) roleXML {
	out := roleXML{
		Path: r.path, RoleName: r.name, RoleID: r.id, ARN: r.arn, CreateDate: stamp(r.created), Description: r.description,
		MaxSessionDuration: r.maxSession, Tags: tag.List(r.tags),
	}
	text := r.trust
	if r.bound != nil {
		r.bound.MapPrincipals(func(one string) string {
			if p := d.byID[one]; p != nil && !p.deleted.IsZero() {
				text = strings.ReplaceAll(text, `"`+p.arn+`"`, `"`+p.id+`"`)
			}
			return one
		})
	}
	out.AssumeRolePolicyDocument = encoded(text)
	if r.boundary != "" {
		out.PermissionsBoundary = &boundaryXML{"Policy", r.boundary}
	}
	return out
}

// authorize checks an action on a role, with the keys that IAM documents for roles.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func (d *Directory) authorize(c *caller.Caller, action, arn string, tags map[string]string, more policy.Context) error {
	ctx := tag.Resource(tags, "aws", "iam")
	ctx.Merge(more)
	return c.Authorize(caller.Access{Action: "iam:" + action, Resource: arn, Context: ctx})
}

// open finds a role for an action that the caller must be allowed. IAM refuses before it says whether the role exists.
// Callers hold a lock.
func (d *Directory) open(c *caller.Caller, action, name string, more policy.Context) (*role, error) {
	if err := checkName("roleName", name, maxRoleName); err != nil {
		return nil, err
	}
	r := d.roles[strings.ToLower(name)]
	arn, tags := "arn:aws:iam::"+d.settings.Account+":role/"+name, map[string]string(nil)
	if r != nil {
		arn, tags = r.arn, r.tags
		if r.boundary != "" {
			if more == nil {
				more = policy.Context{}
			}
			if more.Get("iam:PermissionsBoundary") == "" {
				more.Set("iam:PermissionsBoundary", r.boundary)
			}
		}
	}
	if err := d.authorize(c, action, arn, tags, more); err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	return r, nil
}

type createRoleIn struct {
	RoleName                 string
	Path                     string
	AssumeRolePolicyDocument string
	Description              string
	MaxSessionDuration       int `json:",string"`
	PermissionsBoundary      string
	Tags                     []tag.Tag
}

func (d *Directory) createRole(c *caller.Caller, in *createRoleIn) (*roleOut, error) {
	if err := checkName("roleName", in.RoleName, maxRoleName); err != nil {
		return nil, err
	}
	if in.Path == "" {
		in.Path = "/"
	}
	switch {
	case !pathPattern.MatchString(in.Path) || len(in.Path) > 512:
		return nil, validation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	case len(in.Description) > maxDescription:
		return nil, validation("1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	case in.MaxSessionDuration == 0:
		in.MaxSessionDuration = minSession
	}
	if err := checkMaxSession(in.MaxSessionDuration); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	arn := "arn:aws:iam::" + d.settings.Account + ":role" + in.Path + in.RoleName
	ctx := tag.Requested(in.Tags)
	if in.PermissionsBoundary != "" {
		ctx.Set("iam:PermissionsBoundary", in.PermissionsBoundary)
	}
	if err := d.authorize(c, "CreateRole", arn, nil, ctx); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := d.authorize(c, "TagRole", arn, nil, ctx); err != nil {
			return nil, err
		}
	}
	tags, err := tag.Merge(nil, in.Tags)
	if err != nil {
		return nil, limitExceeded("%s", sentence(err.Error()))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.roles[strings.ToLower(in.RoleName)] != nil {
		return nil, alreadyExists("Role with name %s already exists.", in.RoleName)
	}
	if len(d.roles) >= maxRolesByDefault {
		return nil, limitExceeded("Cannot exceed quota for RolesPerAccount: %d", maxRolesByDefault)
	}
	trust, err := d.checkTrust(in.AssumeRolePolicyDocument)
	if err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != "" && d.policies[in.PermissionsBoundary] == nil {
		return nil, noSuchEntity("Scope ARN: %s does not exist or is not attachable.", in.PermissionsBoundary)
	}
	r := &role{
		id: NewID("AROA"), name: in.RoleName, path: in.Path, arn: arn, description: in.Description, created: d.settings.Clock.Now(),
		maxSession: in.MaxSessionDuration, trust: in.AssumeRolePolicyDocument, bound: d.bindPrincipals(trust),
		inline: map[string]string{}, boundary: in.PermissionsBoundary, tags: tags,
	}
	if err := d.remember(r); err != nil {
		return nil, malformed(err)
	}
	d.roles[strings.ToLower(in.RoleName)], d.byID[r.id] = r, r
	return &roleOut{d.xml(r)}, nil
}

func checkMaxSession(seconds int) error {
	if seconds < minSession || seconds > maxSession {
		return validation("1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between %d and %d", seconds, minSession, maxSession)
	}
	return nil
}

type roleNameIn struct{ RoleName string }

func (d *Directory) getRole(c *caller.Caller, in *roleNameIn) (*roleOut, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, err := d.open(c, "GetRole", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	out := d.xml(r)
	out.RoleLastUsed = &lastUsedXML{}
	if used := r.used.Load(); used != nil {
		*out.RoleLastUsed = lastUsedXML{stamp(*used), c.Region}
	}
	return &roleOut{out}, nil
}

type updateRoleIn struct {
	RoleName           string
	Description        *string
	MaxSessionDuration int `json:",string"`
}

func (d *Directory) updateRole(c *caller.Caller, in *updateRoleIn) (*wire.Empty, error) {
	if in.MaxSessionDuration != 0 {
		if err := checkMaxSession(in.MaxSessionDuration); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "UpdateRole", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		if len(*in.Description) > maxDescription {
			return nil, validation("1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
		}
		r.description = *in.Description
	}
	if in.MaxSessionDuration != 0 {
		r.maxSession = in.MaxSessionDuration
	}
	return &wire.Empty{}, nil
}

func (d *Directory) deleteRole(c *caller.Caller, in *roleNameIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "DeleteRole", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	if len(r.inline) > 0 || len(r.attached) > 0 {
		return nil, deleteConflict("Cannot delete entity, must delete policies first.")
	}
	delete(d.roles, strings.ToLower(r.name))
	r.deleted = d.settings.Clock.Now()
	return &wire.Empty{}, nil
}

type listRolesIn struct {
	PathPrefix string
	Marker     string
	MaxItems   int `json:",string"`
}

type listRolesOut struct {
	Roles       []roleXML `xml:"Roles>member"`
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (d *Directory) listRoles(c *caller.Caller, in *listRolesIn) (*listRolesOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	if err := d.authorize(c, "ListRoles", "arn:aws:iam::"+d.settings.Account+":role/", nil, nil); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	var roles []*role
	for _, r := range d.roles {
		if strings.HasPrefix(r.path, in.PathPrefix) {
			roles = append(roles, r)
		}
	}
	slices.SortFunc(roles, func(a, b *role) int { return strings.Compare(a.name, b.name) })
	part, next, err := page.Cut(roles, func(r *role) string { return r.name }, in.Marker, size)
	if err != nil {
		return nil, validation("Invalid Marker.")
	}
	out := &listRolesOut{IsTruncated: next != "", Marker: next}
	for _, r := range part {
		x := d.xml(r)
		x.Tags, x.PermissionsBoundary = nil, nil // ListRoles leaves them out: API_ListRoles.html
		out.Roles = append(out.Roles, x)
	}
	return out, nil
}

type updateTrustIn struct {
	RoleName       string
	PolicyDocument string
}

func (d *Directory) updateAssumeRolePolicy(c *caller.Caller, in *updateTrustIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "UpdateAssumeRolePolicy", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	trust, err := d.checkTrust(in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	r.trust, r.bound = in.PolicyDocument, d.bindPrincipals(trust)
	return &wire.Empty{}, d.remember(r)
}

type boundaryIn struct {
	RoleName            string
	PermissionsBoundary string
}

func (d *Directory) putBoundary(c *caller.Caller, in *boundaryIn) (*wire.Empty, error) {
	ctx := policy.Context{}
	ctx.Set("iam:PermissionsBoundary", in.PermissionsBoundary)
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "PutRolePermissionsBoundary", in.RoleName, ctx)
	if err != nil {
		return nil, err
	}
	if d.policies[in.PermissionsBoundary] == nil {
		return nil, noSuchEntity("Scope ARN: %s does not exist or is not attachable.", in.PermissionsBoundary)
	}
	r.boundary = in.PermissionsBoundary
	return &wire.Empty{}, d.remember(r)
}

func (d *Directory) deleteBoundary(c *caller.Caller, in *roleNameIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.open(c, "DeleteRolePermissionsBoundary", in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	r.boundary = ""
	return &wire.Empty{}, d.remember(r)
}
