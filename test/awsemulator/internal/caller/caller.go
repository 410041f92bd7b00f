// Package caller is who makes a call, and what that principal may do.
package caller

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/policy"
)

// Kind is whose temporary credentials a session has.
type Kind uint8

// The kinds of sessions.
const (
	OfRole     Kind = iota // AssumeRole
	OfRoot                 // GetSessionToken of the root user
	OfFederate             // GetFederationToken of the root user: what the session policies allow, and nothing else
)

// Session is one set of temporary credentials. It does not change once it is made.
type Session struct {
	Kind            Kind
	AccessKeyID     string
	SecretAccessKey string
	Token           string
	RoleARN         string // of a role's session, as RoleID
	RoleID          string
	Name            string // of the session, or of the federated user
	Issued, Expires time.Time
	Policies        []*policy.Document // nil: no session policy
	Tags            map[string]string  // keys as given; inherited ones too
	Transitive      []string           // keys of tags that the next session of a chain inherits
	SourceIdentity  string
}

// Rights are a role's policies and tags as they act now.
type Rights struct {
	Identity []*policy.Document
	Boundary *policy.Document
	Tags     map[string]string
	// Gone: the role does not exist any more, so its sessions can do nothing.
	Gone bool
}

// Caller is the principal of one call with the call's circumstances.
type Caller struct {
	Account, Region string
	ARN             string // root's, arn:aws:sts::…:assumed-role/ROLE/SESSION or arn:aws:sts::…:federated-user/NAME
	UserID          string // account ID, AROA…:SESSION or ACCOUNT:NAME
	Session         *Session
	Rights          Rights // of the session's role; read once for each call, so that no lock is taken twice

	Now       time.Time
	SourceIP  string
	UserAgent string
	Secure    bool
	RequestID string

	// Resource is the one that was authorised last, for the log of calls.
	Resource string
}

// Root says whether the account's root user calls.
func (c *Caller) Root() bool { return c.Session == nil || c.Session.Kind == OfRoot }

// Principal is the caller as a policy may name it.
func (c *Caller) Principal() policy.Caller {
	p := policy.Caller{AccountID: c.Account, ARN: c.ARN, Root: c.Root()}
	if c.Session != nil {
		p.RoleARN, p.RoleID = c.Session.RoleARN, c.Session.RoleID
	}
	return p
}

// PrincipalTags are the role's tags overlaid with the session's.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func (c *Caller) PrincipalTags() map[string]string {
	out := map[string]string{}
	if c.Session == nil {
		return out
	}
	for k, v := range c.Rights.Tags {
		out[k] = v
	}
	for k, v := range c.Session.Tags {
		for old := range out {
			if strings.EqualFold(old, k) {
				delete(out, old)
			}
		}
		out[k] = v
	}
	return out
}

// Context is the condition keys that every request has.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (c *Caller) Context() policy.Context {
	ctx := policy.Context{}
	ctx.Set("aws:CurrentTime", c.Now.UTC().Format(time.RFC3339))
	ctx.Set("aws:EpochTime", strconv.FormatInt(c.Now.Unix(), 10))
	ctx.Set("aws:PrincipalAccount", c.Account)
	ctx.Set("aws:userid", c.UserID)
	ctx.Set("aws:SourceIp", c.SourceIP)
	ctx.Set("aws:SecureTransport", strconv.FormatBool(c.Secure))
	ctx.Set("aws:RequestedRegion", c.Region)
	ctx.Set("aws:ResourceAccount", c.Account)
	ctx.Set("aws:PrincipalIsAWSService", "false")
	ctx.Set("aws:ViaAWSService", "false")
	if c.UserAgent != "" {
		ctx.Set("aws:UserAgent", c.UserAgent)
	}
	ctx.Set("aws:PrincipalArn", c.ARN)
	ctx.Set("aws:PrincipalType", "Account")
	if c.Session == nil {
		return ctx
	}
	switch c.Session.Kind {
	case OfRole:
		// Of a role session this is the role's ARN, not the session's.
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
		ctx.Set("aws:PrincipalArn", c.Session.RoleARN)
		ctx.Set("aws:PrincipalType", "AssumedRole")
	case OfFederate:
		ctx.Set("aws:PrincipalType", "FederatedUser")
	}
	ctx.Set("aws:TokenIssueTime", c.Session.Issued.UTC().Format(time.RFC3339))
	ctx.Set("aws:MultiFactorAuthPresent", "false")
	if c.Session.SourceIdentity != "" {
		ctx.Set("aws:SourceIdentity", c.Session.SourceIdentity)
	}
	for k, v := range c.PrincipalTags() {
		ctx.Set("aws:PrincipalTag/"+k, v)
	}
	return ctx
}

// Access is one thing to be authorised.
type Access struct {
	Action   string // ecr:PutImage
	Resource string // ARN or "*"
	Context  policy.Context
	// ResourcePolicy of the resource, nil where it has none.
	ResourcePolicy *policy.Document
	// Trust: the resource policy is a role's trust policy, which must allow in any case.
	Trust bool
	// MustAllow: the resource policy must allow in any case, as a key's policy does.
	MustAllow bool
}

// Authorize answers nil or an AccessDenied error that reads as AWS words it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (c *Caller) Authorize(a Access) error {
	c.Resource = a.Resource
	if c.Root() && a.ResourcePolicy == nil {
		return nil // root is limited by resource-based denials alone
	}
	ctx := c.Context()
	ctx.Merge(a.Context)
	policies := policy.Policies{Resource: a.ResourcePolicy, ResourceMustAllow: a.Trust || a.MustAllow}
	if c.Session != nil {
		rights := &c.Rights
		if rights.Gone {
			return apierror.AccessDenied(denial(c.ARN, a, policy.Decision{Source: policy.IdentityBased}))
		}
		policies.Identity, policies.Boundary, policies.Session = rights.Identity, rights.Boundary, c.Session.Policies
	}
	d := policy.Evaluate(policy.Request{Caller: c.Principal(), Action: a.Action, Resource: a.Resource, Context: ctx}, policies)
	if d.Allowed {
		return nil
	}
	return apierror.AccessDenied(denial(c.ARN, a, d))
}

func denial(arn string, a Access, d policy.Decision) string {
	s := fmt.Sprintf("User: %s is not authorized to perform: %s", arn, a.Action)
	if a.Resource != "*" {
		s += " on resource: " + a.Resource
	}
	if a.Trust && !d.Explicit {
		return s // AWS does not say which side of an AssumeRole refused
	}
	article := "a"
	if d.Source == policy.IdentityBased {
		article = "an"
	}
	if d.Explicit {
		return s + fmt.Sprintf(" with an explicit deny in %s %s", article, d.Source)
	}
	return s + fmt.Sprintf(" because no %s allows the %s action", d.Source, a.Action)
}
