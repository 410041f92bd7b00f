package policy

// Request is what is to be decided.
type Request struct {
	Caller   Caller
	Action   string // service:Operation
	Resource string // an ARN, or "*" for an operation without resource
	Context  Context
}

// Policies is everything that bears on a request inside one account.
type Policies struct {
	Identity []*Document
	Boundary *Document   // nil: none
	Session  []*Document // nil: the session was made without a session policy
	Resource *Document   // nil: none

	// ResourceMustAllow is for trust policies: whatever the identity may do, the resource's policy must allow it too.
	ResourceMustAllow bool
}

// Source is a kind of policy, as AWS' error messages name it.
type Source string

// The kinds of policies of one account.
const (
	IdentityBased Source = "identity-based policy"
	ResourceBased Source = "resource-based policy"
	Boundary      Source = "permissions boundary"
	Session       Source = "session policy"
)

// Decision is the answer and where it comes from.
type Decision struct {
	Allowed bool
	// Explicit: a Deny statement matched. Otherwise a denial is for want of an Allow.
	Explicit bool
	Source   Source
	// Sid of the statement that denied, where it has one.
	Sid string
}

// Evaluate decides a request as AWS documents it for one account: an explicit deny wins; a resource-based policy may allow by
// itself, as far as its principal element reaches; otherwise identity-based policies, boundary and session policy must all allow.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func Evaluate(r Request, p Policies) Decision {
	if d, denied := explicitDeny(&r, &p); denied {
		return d
	}
	granted := notNamed
	if p.Resource != nil {
		granted = resourceGrant(&r, p.Resource)
	}
	if p.ResourceMustAllow && granted == notNamed {
		return Decision{Source: ResourceBased}
	}
	switch granted {
	case toEverybody, toSession:
		return Decision{Allowed: true, Source: ResourceBased}
	}
	if r.Caller.Service != "" {
		return Decision{Source: ResourceBased}
	}
	identity := r.Caller.Root || granted == toRole || anyAllows(&r, p.Identity)
	switch {
	case !identity:
		return Decision{Source: IdentityBased}
	case p.Boundary != nil && !anyAllows(&r, []*Document{p.Boundary}):
		return Decision{Source: Boundary}
	case p.Session != nil && !anyAllows(&r, p.Session):
		return Decision{Source: Session}
	}
	if granted == toRole {
		return Decision{Allowed: true, Source: ResourceBased}
	}
	return Decision{Allowed: true, Source: IdentityBased}
}

func explicitDeny(r *Request, p *Policies) (Decision, bool) {
	check := func(source Source, docs ...*Document) (Decision, bool) {
		for _, d := range docs {
			if d == nil {
				continue
			}
			for i := range d.Statements {
				s := &d.Statements[i]
				if s.Allow || !s.applies(r) {
					continue
				}
				// A deny with NotPrincipal reaches whoever has a boundary, even those that it excepts.
				// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
				bounded := s.NotPrincipal != nil && p.Boundary != nil
				if source == ResourceBased && !bounded && !s.speaksOf(&r.Caller) {
					continue
				}
				return Decision{Explicit: true, Source: source, Sid: s.Sid}, true
			}
		}
		return Decision{}, false
	}
	if d, ok := check(IdentityBased, p.Identity...); ok {
		return d, true
	}
	if d, ok := check(ResourceBased, p.Resource); ok {
		return d, true
	}
	if d, ok := check(Boundary, p.Boundary); ok {
		return d, true
	}
	return check(Session, p.Session...)
}

// speaksOf says whether a resource-based statement's principal element takes the caller in.
// A session is excepted from a NotPrincipal only if account, role and session are all named there, which is why AWS advises against it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func (s *Statement) speaksOf(c *Caller) bool {
	if s.Principal != nil {
		return s.Principal.names(c) != notNamed
	}
	if s.NotPrincipal == nil {
		return false
	}
	if s.NotPrincipal.Everyone {
		return false
	}
	if c.Service != "" || c.Root {
		return s.NotPrincipal.names(c) == notNamed
	}
	var account, role, session bool
	for _, one := range s.NotPrincipal.AWS {
		switch one {
		case c.AccountID, "arn:aws:iam::" + c.AccountID + ":root":
			account = true
		case c.RoleARN, c.RoleID:
			role = true
		case c.ARN:
			session = true
		}
	}
	return !(account && role && session)
}

func resourceGrant(r *Request, d *Document) grant {
	best := notNamed
	for i := range d.Statements {
		s := &d.Statements[i]
		if !s.Allow || !s.applies(r) {
			continue
		}
		switch {
		case s.Principal != nil:
			best = max(best, s.Principal.names(&r.Caller))
		case s.NotPrincipal != nil && s.speaksOf(&r.Caller):
			best = max(best, toEverybody)
		}
	}
	return best
}

func anyAllows(r *Request, docs []*Document) bool {
	for _, d := range docs {
		for i := range d.Statements {
			s := &d.Statements[i]
			if s.Allow && s.applies(r) {
				return true
			}
		}
	}
	return false
}
