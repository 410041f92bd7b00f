// Package iam is the account's directory, roles and managed policies and their sessions, and IAM's Query API over it.
package iam

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
)

// Settings are what a test may turn.
type Settings struct {
	Account string
	Clock   *clock.Clock
	// PolicyDelay is how long a change of a role's policies, tags or trust takes to act.
	PolicyDelay time.Duration
	// RoleDelay is how long a new role can't be assumed, nor named as a principal.
	RoleDelay time.Duration
}

// Directory holds the account's principals. It is safe for concurrent use.
type Directory struct {
	settings Settings

	mu       sync.RWMutex
	roles    map[string]*role // by lower-case name: IAM's names are unique without regard to case
	byID     map[string]*role // deleted ones too: their sessions outlive them
	policies map[string]*managedPolicy
	sessions map[string]*caller.Session
}

type role struct {
	id, name, path, arn string
	description         string
	created             time.Time
	maxSession          int
	trust               string
	bound               *policy.Document // trust with role ARNs replaced by the IDs of when it was written
	inline              map[string]string
	attached            []string
	boundary            string
	tags                map[string]string
	deleted             time.Time // zero: exists
	used                atomic.Pointer[time.Time]

	history []snapshot // oldest first; never empty
	pruned  bool       // the first of history acts already, whatever an older reading of the clock says
}

// snapshot is what a role may do from a time on.
type snapshot struct {
	at       time.Time
	identity []*policy.Document
	boundary *policy.Document
	trust    *policy.Document
	tags     map[string]string
}

type managedPolicy struct {
	id, name, path, arn, description string
	created, updated                 time.Time
	versions                         map[int]policyVersion
	standard                         int // number of the default version
	next                             int
	tags                             map[string]string
	aws                              bool // one of AWS' own
}

type policyVersion struct {
	text    string
	created time.Time
}

// New makes an empty directory with a few of AWS' own managed policies.
func New(s Settings) *Directory {
	d := &Directory{settings: s, roles: map[string]*role{}, byID: map[string]*role{}, policies: map[string]*managedPolicy{}, sessions: map[string]*caller.Session{}}
	d.addAWSPolicies()
	return d
}

// NewID makes a unique ID of the form that IAM gives out: a prefix of four letters and 17 more characters.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
func NewID(prefix string) string {
	raw := make([]byte, 11)
	_, _ = rand.Read(raw) // never fails
	return prefix + base32.StdEncoding.EncodeToString(raw)[:17]
}

// remember records how the role stands now. Callers hold the write lock.
func (d *Directory) remember(r *role) error {
	now := d.settings.Clock.Now()
	s := snapshot{at: now, tags: maps.Clone(r.tags)}
	for _, name := range slices.Sorted(maps.Keys(r.inline)) {
		doc, err := policy.Parse(r.inline[name])
		if err != nil {
			return fmt.Errorf("inline policy %s: %w", name, err)
		}
		s.identity = append(s.identity, doc)
	}
	for _, arn := range r.attached {
		doc, err := d.document(arn)
		if err != nil {
			return err
		}
		s.identity = append(s.identity, doc)
	}
	if r.boundary != "" {
		doc, err := d.document(r.boundary)
		if err != nil {
			return err
		}
		s.boundary = doc
	}
	s.trust = r.bound
	r.history = append(r.history, s)
	// All but the last snapshot that acts by now, and those to come, are of no use.
	for len(r.history) > 1 && !r.history[1].at.Add(d.settings.PolicyDelay).After(now) {
		r.history, r.pruned = r.history[1:], true
	}
	return nil
}

// document is a managed policy's default version.
func (d *Directory) document(arn string) (*policy.Document, error) {
	p := d.policies[arn]
	if p == nil {
		return nil, fmt.Errorf("policy %s does not exist", arn)
	}
	return policy.Parse(p.versions[p.standard].text)
}

// at is the role as it acts now: with the delay, an older snapshot; before the first one acts, nothing at all.
func (r *role) at(now time.Time, delay time.Duration) snapshot {
	for i := len(r.history) - 1; i >= 0; i-- {
		if !r.history[i].at.Add(delay).After(now) {
			return r.history[i]
		}
	}
	if r.pruned {
		return r.history[0]
	}
	return snapshot{}
}

// bindPrincipals replaces the ARNs of existing roles by their unique IDs, as IAM does when a policy is saved: a role that is
// deleted and made again under the same name is another principal.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
func (d *Directory) bindPrincipals(doc *policy.Document) *policy.Document {
	return doc.MapPrincipals(func(arn string) string {
		if r := d.roleByARN(arn); r != nil {
			return r.id
		}
		return arn
	})
}

// BindPrincipals does the same for a resource-based policy, and says which principal does not exist.
func (d *Directory) BindPrincipals(doc *policy.Document) (*policy.Document, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkPrincipals(doc); err != nil {
		return nil, err
	}
	return d.bindPrincipals(doc), nil
}

func (d *Directory) checkPrincipals(doc *policy.Document) error {
	now := d.settings.Clock.Now()
	var bad string
	doc.MapPrincipals(func(one string) string {
		prefix := "arn:aws:iam::" + d.settings.Account + ":"
		rest, ours := strings.CutPrefix(one, prefix)
		switch {
		case ours && rest == "root":
		case ours && strings.HasPrefix(rest, "role/"):
			if r := d.roleByARN(one); r == nil || r.created.Add(d.settings.RoleDelay).After(now) {
				bad = one
			}
		case ours:
			bad = one // there are no users
		case strings.HasPrefix(one, "arn:aws:iam::"), strings.HasPrefix(one, "arn:aws:sts::"):
		case len(one) == 12 && strings.Trim(one, "0123456789") == "":
		case strings.HasPrefix(one, "AROA") && d.byID[one] != nil:
		default:
			bad = one
		}
		return one
	})
	if bad != "" {
		return &policy.Refusal{Message: fmt.Sprintf("Invalid principal in policy: \"AWS\":%q", bad)}
	}
	return nil
}

func (d *Directory) roleByARN(arn string) *role {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	r := d.roles[strings.ToLower(name)]
	if r == nil || r.arn != arn {
		return nil
	}
	return r
}

// Session finds the credentials of an access key ID.
func (d *Directory) Session(accessKeyID string) *caller.Session {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sessions[accessKeyID]
}

// AddSession makes the session's credentials usable, and forgets those that have long run out.
func (d *Directory) AddSession(s *caller.Session) {
	now := d.settings.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions[s.AccessKeyID] = s
	if len(d.sessions)%1024 == 0 {
		maps.DeleteFunc(d.sessions, func(_ string, old *caller.Session) bool { return old.Expires.Add(24 * time.Hour).Before(now) })
	}
}

// Rights are what a role's sessions may do now, before session policies.
func (d *Directory) Rights(roleID string) caller.Rights {
	now := d.settings.Clock.Now()
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.byID[roleID]
	if r == nil || (!r.deleted.IsZero() && !r.deleted.Add(d.settings.PolicyDelay).After(now)) {
		return caller.Rights{Gone: true}
	}
	s := r.at(now, d.settings.PolicyDelay)
	return caller.Rights{Identity: s.identity, Boundary: s.boundary, Tags: s.tags}
}

// Used notes that a session of a role made a request. IAM shows that after up to four hours, this directory at once.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html
func (d *Directory) Used(roleID string, at time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if r := d.byID[roleID]; r != nil {
		r.used.Store(&at)
	}
}

// Assumable is what STS needs of a role.
type Assumable struct {
	ARN, ID, Name string
	MaxSession    int
	Trust         *policy.Document
	Tags          map[string]string
}

// Assumable finds a role that can be assumed now; nil where there is none, as far as STS knows yet.
func (d *Directory) Assumable(arn string) *Assumable {
	now := d.settings.Clock.Now()
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.roleByARN(arn)
	if r == nil || r.created.Add(d.settings.RoleDelay).After(now) {
		return nil
	}
	s := r.at(now, d.settings.PolicyDelay)
	if s.trust == nil {
		return nil
	}
	return &Assumable{ARN: r.arn, ID: r.id, Name: r.name, MaxSession: r.maxSession, Trust: s.trust, Tags: s.tags}
}

// ManagedDocument is the default version of a managed policy, for session policies by ARN.
func (d *Directory) ManagedDocument(arn string) (*policy.Document, string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.policies[arn]
	if p == nil {
		return nil, "", fmt.Errorf("policy %s does not exist", arn)
	}
	text := p.versions[p.standard].text
	doc, err := policy.Parse(text)
	return doc, text, err
}
