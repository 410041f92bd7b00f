package ecr

import (
	"encoding/base64"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// passwordLife: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
const passwordLife = 12 * time.Hour

type passwords struct {
	mu     sync.Mutex
	issued map[string]Password
	order  []string
}

// Password is what a registry password stands for.
type Password struct {
	Session *caller.Session // nil: the root user asked for it
	Expires time.Time
}

type authorizationIn struct {
	RegistryIDs []string `json:"registryIds"`
}

type authorizationData struct {
	Token    string `json:"authorizationToken"`
	Expires  *epoch `json:"expiresAt"`
	Endpoint string `json:"proxyEndpoint"`
}

type authorizationOut struct {
	Data []authorizationData `json:"authorizationData"`
}

// getAuthorizationToken knows no resource but "*". It answers for every account that is asked for: whether the caller may use that
// registry shows there.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
func (r *Registry) getAuthorizationToken(c *caller.Caller, in *authorizationIn) (*authorizationOut, error) {
	if err := c.Authorize(caller.Access{Action: "ecr:GetAuthorizationToken", Resource: "*"}); err != nil {
		return nil, err
	}
	if len(in.RegistryIDs) > maxRegistries {
		return nil, invalid("Invalid parameter at 'registryIds' failed to satisfy constraint: 'must have between 1 and %d members'", maxRegistries)
	}
	endpoints := []string{r.settings.ProxyEndpoint}
	for i, id := range in.RegistryIDs {
		if !accountPattern.MatchString(id) {
			return nil, invalid("Invalid parameter at 'registryIds' failed to satisfy constraint: 'must satisfy regular expression '[0-9]{12}''")
		}
		if i == 0 {
			endpoints = nil
		}
		endpoints = append(endpoints, r.endpointOf(id))
	}
	out := &authorizationOut{}
	for _, endpoint := range endpoints {
		out.Data = append(out.Data, r.issue(c, endpoint))
	}
	return out, nil
}

// endpointOf is the registry of an account. That of another account is a name in AWS, which this emulator does not serve.
func (r *Registry) endpointOf(account string) string {
	if account == r.settings.Account {
		return r.settings.ProxyEndpoint
	}
	return "https://" + account + ".dkr.ecr." + r.settings.Region + ".amazonaws.com"
}

// issue hands a password out.
func (r *Registry) issue(c *caller.Caller, endpoint string) authorizationData {
	password := newID(48)
	expires := c.Now.Add(passwordLife)
	r.passwords.mu.Lock()
	if r.passwords.issued == nil {
		r.passwords.issued = map[string]Password{}
	}
	r.passwords.issued[password] = Password{c.Session, expires}
	r.passwords.order = append(r.passwords.order, password)
	r.passwords.mu.Unlock()
	return authorizationData{
		Token: base64.StdEncoding.EncodeToString([]byte("AWS:" + password)), Expires: epochOf(expires), Endpoint: endpoint,
	}
}

// Password looks a password up. It is usable for 12 hours and, unless the switch says otherwise, no longer than the session that
// asked for it: AWS does not document which.
func (r *Registry) Password(password string, now time.Time) (p Password, known, usable bool) {
	r.passwords.mu.Lock()
	defer r.passwords.mu.Unlock()
	p, known = r.passwords.issued[password]
	if !known {
		return p, false, false
	}
	usable = now.Before(p.Expires)
	if p.Session != nil && !r.settings.PasswordOutlivesSession && !now.Before(p.Session.Expires) {
		usable = false
	}
	return p, true, usable
}

// IssuedPasswords is every password ever given out, oldest first.
func (r *Registry) IssuedPasswords() []string {
	r.passwords.mu.Lock()
	defer r.passwords.mu.Unlock()
	return append([]string(nil), r.passwords.order...)
}
