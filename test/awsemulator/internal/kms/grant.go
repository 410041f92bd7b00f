package kms

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// grant lets a principal or a service use a key.
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
type grant struct {
	id, token, name   string
	grantee, retiring string // ARNs, or a service's name
	operations        []string
	created           *float64
	issuer            string
}

// granted reports whether a grant lets the caller do something with the key.
func (found *key) granted(c *caller.Caller, action string) bool {
	for _, g := range found.grants {
		if g.speaksOf(c, g.grantee) && slices.Contains(g.operations, action) {
			return true
		}
	}
	return false
}

// speaksOf reports whether an ARN of a grant is the caller's or that of its role.
func (g *grant) speaksOf(c *caller.Caller, arn string) bool {
	return arn != "" && (arn == c.ARN || (c.Session != nil && arn == c.Session.RoleARN))
}

// Operations that a grant can allow.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html#API_CreateGrant_RequestParameters
var grantable = map[string][]string{
	encrypts: {
		"Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo", "CreateGrant", "RetireGrant",
		"DescribeKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	},
	signs: {"Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey"},
}

type createGrantIn struct {
	KeyID       string   `json:"KeyId"`
	Grantee     string   `json:"GranteePrincipal"`
	Retiring    string   `json:"RetiringPrincipal"`
	Operations  []string `json:"Operations"`
	Name        string   `json:"Name"`
	GrantTokens []string `json:"GrantTokens"`
}

type createGrantOut struct {
	ID    string `json:"GrantId"`
	Token string `json:"GrantToken"`
}

func (k *Keys) createGrant(c *caller.Caller, in *createGrantIn) (*createGrantOut, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.grant(c, in, nil)
}

// grant makes a grant. The same request with the same name finds the grant that exists. Callers hold the lock.
func (k *Keys) grant(c *caller.Caller, in *createGrantIn, more policy.Context) (*createGrantOut, error) {
	ctx := policy.Context{}
	ctx.Set("kms:GrantOperations", in.Operations...)
	ctx.Set("kms:GranteePrincipal", in.Grantee)
	ctx.Set("kms:GrantIsForAWSResource", "false")
	ctx.Merge(more)
	found, err := k.open(c, "CreateGrant", in.KeyID, ctx)
	if err != nil {
		return nil, err
	}
	if err := found.usable(); err != nil {
		return nil, err
	}
	if len(in.Operations) == 0 || in.Grantee == "" {
		return nil, apierror.New("ValidationException", "Operations and GranteePrincipal are required")
	}
	for _, operation := range in.Operations {
		if !slices.Contains(grantable[found.usage], operation) {
			return nil, apierror.New("ValidationException", "The operation %s is not supported for a grant on a key with KeyUsage %s", operation, found.usage)
		}
	}
	if !strings.HasPrefix(in.Grantee, "arn:") && !strings.HasSuffix(in.Grantee, ".amazonaws.com") {
		return nil, apierror.New("InvalidArnException", "%s is not a valid ARN", in.Grantee)
	}
	for _, g := range found.grants {
		if in.Name != "" && g.name == in.Name && g.grantee == in.Grantee && g.retiring == in.Retiring && slices.Equal(g.operations, in.Operations) {
			return &createGrantOut{g.id, g.token}, nil
		}
	}
	g := &grant{
		id: random(32), token: random(64), name: in.Name, grantee: in.Grantee, retiring: in.Retiring, operations: in.Operations, created: epoch(c.Now), issuer: c.ARN,
	}
	found.grants[g.id] = g
	return &createGrantOut{g.id, g.token}, nil
}

type listGrantsIn struct {
	KeyID   string `json:"KeyId"`
	Grantee string `json:"GranteePrincipal"`
	ID      string `json:"GrantId"`
}

type grantJSON struct {
	KeyID      string   `json:"KeyId"`
	ID         string   `json:"GrantId"`
	Name       string   `json:"Name,omitempty"`
	Grantee    string   `json:"GranteePrincipal"`
	Retiring   string   `json:"RetiringPrincipal,omitempty"`
	Issuer     string   `json:"IssuingAccount"`
	Operations []string `json:"Operations"`
	Created    *float64 `json:"CreationDate"`
}

type listGrantsOut struct {
	Grants    []grantJSON `json:"Grants"`
	Truncated bool        `json:"Truncated"`
}

// listGrants answers all grants of a key in one page.
func (k *Keys) listGrants(c *caller.Caller, in *listGrantsIn) (*listGrantsOut, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "ListGrants", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	out := &listGrantsOut{Grants: []grantJSON{}}
	for _, g := range found.grants {
		if (in.ID == "" || in.ID == g.id) && (in.Grantee == "" || in.Grantee == g.grantee) {
			out.Grants = append(out.Grants, grantJSON{found.arn, g.id, g.name, g.grantee, g.retiring, "arn:aws:iam::" + k.settings.Account + ":root", g.operations, g.created})
		}
	}
	slices.SortFunc(out.Grants, func(a, b grantJSON) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

type retireGrantIn struct {
	Token string `json:"GrantToken"`
	KeyID string `json:"KeyId"`
	ID    string `json:"GrantId"`
}

// retireGrant ends a grant: whoever it names as the retiring principal may, the grantee if the grant says so, and whom a policy allows it.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html
func (k *Keys) retireGrant(c *caller.Caller, in *retireGrantIn) (*wire.Empty, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, of := range k.keys {
		for _, g := range of.grants {
			if (in.Token == "" || g.token != in.Token) && (in.ID == "" || g.id != in.ID || (in.KeyID != of.arn && in.KeyID != of.id)) {
				continue
			}
			may := g.speaksOf(c, g.retiring) || (g.speaksOf(c, g.grantee) && slices.Contains(g.operations, "RetireGrant"))
			if _, err := k.open(c, "RetireGrant", of.id, nil); err != nil && !may {
				return nil, err
			}
			delete(of.grants, g.id)
			return &wire.Empty{}, nil
		}
	}
	if in.Token != "" {
		return nil, apierror.New("InvalidGrantTokenException", "The grant token is not valid")
	}
	return nil, apierror.New("NotFoundException", "Grant ID %s not found", in.ID)
}

// For lets a service encrypt with a key what it keeps for the caller: it asks for the key's description and for a grant, in the caller's
// name. It returns the key's ARN.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
func (k *Keys) For(c *caller.Caller, service, id string) (string, error) {
	ctx := policy.Context{}
	ctx.Set("kms:ViaService", service+"."+k.settings.Region+".amazonaws.com")
	ctx.Set("kms:GrantIsForAWSResource", "true")
	k.mu.Lock()
	defer k.mu.Unlock()
	resource := c.Resource
	defer func() { c.Resource = resource }()
	found, err := k.open(c, "DescribeKey", id, ctx)
	if err != nil {
		return "", err
	}
	if found.usage != encrypts {
		return "", apierror.New("InvalidKeyUsageException", "%s key usage is %s which is not valid for Encrypt.", found.arn, found.usage)
	}
	for _, operations := range [][]string{{"GenerateDataKey", "Decrypt", "RetireGrant", "DescribeKey"}, {"Decrypt", "RetireGrant"}} {
		in := &createGrantIn{KeyID: found.id, Grantee: service + "." + k.settings.Region + ".amazonaws.com", Operations: operations}
		if _, err := k.grant(c, in, ctx); err != nil {
			return "", err
		}
	}
	return found.arn, nil
}
