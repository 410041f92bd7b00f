package policy

import (
	"encoding/json"
	"errors"
	"strings"
)

// Principals is a Principal or NotPrincipal element.
type Principals struct {
	Everyone  bool // "*" or {"AWS": "*"}
	AWS       []string
	Service   []string
	Federated []string
}

// Caller is who a request comes from, in the forms in which a policy may name them.
type Caller struct {
	AccountID string
	Root      bool
	ARN       string // the session's own ARN, arn:aws:sts::…:assumed-role/ROLE/SESSION, or the root's
	RoleARN   string
	RoleID    string // AROA…: what IAM keeps in place of a role's ARN in a trust or resource policy
	Service   string // a service principal such as cloudformation.amazonaws.com; then nothing else is set
}

func parsePrincipals(raw json.RawMessage) (*Principals, error) {
	if firstByte(raw) == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		if s != "*" {
			return nil, refuse("Invalid principal in policy: %q", s)
		}
		return &Principals{Everyone: true}, nil
	}
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(raw, &kinds); err != nil || len(kinds) == 0 {
		return nil, refuse("Invalid principal in policy")
	}
	p := &Principals{}
	for kind, value := range kinds {
		list, err := stringList(value)
		if err == nil && len(list) == 0 {
			err = errors.New("the list is empty")
		}
		if err != nil {
			return nil, refuse("Invalid principal in policy: %s: %v", kind, err)
		}
		switch kind {
		case "AWS":
			for _, one := range list {
				if one == "*" {
					p.Everyone = true
					continue
				}
				if strings.ContainsAny(one, "*?") {
					return nil, refuse("Invalid principal in policy: %q: a wildcard can't be part of a principal", one)
				}
				p.AWS = append(p.AWS, one)
			}
		case "Service":
			p.Service = list
		case "Federated":
			p.Federated = list
		case "CanonicalUser":
			return nil, refuse("Invalid principal in policy: CanonicalUser is for S3 only")
		default:
			return nil, refuse("Invalid principal in policy: unknown kind %q", kind)
		}
	}
	return p, nil
}

// grant is how directly a Principal element names a caller. It decides which other policies limit what the statement allows.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
type grant uint8

const (
	notNamed    grant = iota
	toAccount         // the account: only delegates, an identity policy must allow too
	toRole            // the role's ARN: session policy and boundary still limit it
	toEverybody       // "*": neither boundary nor session policy limit it
	toSession         // the session's ARN: nothing but an explicit deny limits it
)

func (p *Principals) names(c *Caller) grant {
	best := notNamed
	if p.Everyone {
		best = toEverybody
	}
	if c.Service != "" {
		for _, s := range p.Service {
			if s == c.Service {
				return toSession
			}
		}
		return best
	}
	for _, one := range p.AWS {
		g := notNamed
		switch {
		case one == c.AccountID || isRootOf(one, c.AccountID):
			g = toAccount
		case one == c.ARN:
			g = toSession
		case c.RoleARN != "" && one == c.RoleARN, c.RoleID != "" && one == c.RoleID:
			g = toRole
		}
		best = max(best, g)
	}
	return best
}

func isRootOf(arn, account string) bool {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::")
	if !ok {
		return false
	}
	return rest == account+":root"
}

// MapPrincipals returns a copy of the document with every AWS principal but "*" replaced by what f makes of it.
func (d *Document) MapPrincipals(f func(string) string) *Document {
	out := *d
	out.Statements = append([]Statement(nil), d.Statements...)
	apply := func(p *Principals) *Principals {
		if p == nil {
			return nil
		}
		copied := *p
		copied.AWS = make([]string, len(p.AWS))
		for i, one := range p.AWS {
			copied.AWS[i] = f(one)
		}
		return &copied
	}
	for i := range out.Statements {
		out.Statements[i].Principal = apply(out.Statements[i].Principal)
		out.Statements[i].NotPrincipal = apply(out.Statements[i].NotPrincipal)
	}
	return &out
}
