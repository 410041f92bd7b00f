// Package kms is one account's keys in one region, and the part of KMS' JSON API that signs, and that lets services use keys by grants.
package kms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// TargetPrefix is the first part of the X-Amz-Target header.
const TargetPrefix = "TrentService"

// Binder checks the principals of a key policy and ties them to the roles of today.
type Binder interface {
	BindPrincipals(*policy.Document) (*policy.Document, error)
}

// Settings are the keys' place.
type Settings struct {
	Account, Region string
	Clock           *clock.Clock
	Binder          Binder
}

// Kinds of keys.
const (
	symmetric = "SYMMETRIC_DEFAULT"
	p256      = "ECC_NIST_P256"
)

// Usages of keys.
const (
	encrypts = "ENCRYPT_DECRYPT"
	signs    = "SIGN_VERIFY"
)

// States of keys.
const (
	enabled  = "Enabled"
	disabled = "Disabled"
	pending  = "PendingDeletion"
)

type key struct {
	id, arn     string
	spec, usage string
	description string
	created     time.Time
	state       string
	goes        time.Time // when a key that is pending deletion goes
	policyText  string
	policy      *policy.Document
	private     *ecdsa.PrivateKey // of a key that signs
	grants      map[string]*grant
}

// Keys is the store behind the API. It is safe for concurrent use.
type Keys struct {
	settings Settings

	mu      sync.Mutex
	keys    map[string]*key   // by ID
	aliases map[string]string // alias/NAME → ID
}

// New makes an empty store.
func New(s Settings) *Keys {
	return &Keys{settings: s, keys: map[string]*key{}, aliases: map[string]string{}}
}

// Operations is KMS' API.
func (k *Keys) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateKey":           wire.Op(k.createKey),
		"DescribeKey":         wire.Op(k.describeKey),
		"DisableKey":          wire.Op(k.disableKey),
		"EnableKey":           wire.Op(k.enableKey),
		"ScheduleKeyDeletion": wire.Op(k.scheduleKeyDeletion),
		"CreateAlias":         wire.Op(k.createAlias),
		"GetKeyPolicy":        wire.Op(k.getKeyPolicy),
		"PutKeyPolicy":        wire.Op(k.putKeyPolicy),
		"GetPublicKey":        wire.Op(k.getPublicKey),
		"Sign":                wire.Op(k.sign),
		"CreateGrant":         wire.Op(k.createGrant),
		"ListGrants":          wire.Op(k.listGrants),
		"RetireGrant":         wire.Op(k.retireGrant),
	}
}

func (k *Keys) arn(resource string) string {
	return "arn:aws:kms:" + k.settings.Region + ":" + k.settings.Account + ":" + resource
}

// find looks a key up by ID, ARN, alias or the alias' ARN. Callers hold the lock.
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
func (k *Keys) find(id string) (*key, error) {
	name := strings.TrimPrefix(id, k.arn(""))
	if strings.HasPrefix(name, "arn:") {
		return nil, apierror.New("NotFoundException", "Invalid arn %s", id)
	}
	if alias, ok := k.aliases[name]; ok {
		name = alias
	}
	found := k.keys[strings.TrimPrefix(name, "key/")]
	switch {
	case id == "":
		return nil, apierror.New("ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null")
	case found == nil && strings.HasPrefix(name, "alias/"):
		return nil, apierror.New("NotFoundException", "Alias %s is not found.", k.arn(name))
	case found == nil || (found.state == pending && !k.settings.Clock.Now().Before(found.goes)):
		return nil, apierror.New("NotFoundException", "Key '%s' does not exist", k.arn("key/"+strings.TrimPrefix(name, "key/")))
	}
	return found, nil
}

// open finds a key and authorises an action on it: by the key's policy, which must allow or leave it to IAM, or by a grant.
// https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
func (k *Keys) open(c *caller.Caller, action, id string, more policy.Context) (*key, error) {
	found, err := k.find(id)
	if err != nil {
		return nil, err
	}
	ctx := policy.Context{}
	ctx.Set("kms:CallerAccount", c.Account)
	ctx.Set("kms:KeySpec", found.spec)
	ctx.Set("kms:KeyUsage", found.usage)
	ctx.Merge(more)
	err = c.Authorize(caller.Access{Action: "kms:" + action, Resource: found.arn, Context: ctx, ResourcePolicy: found.policy, MustAllow: true})
	if err != nil && !found.granted(c, action) {
		return nil, err
	}
	return found, nil
}

// usable refuses a key that is disabled or about to go.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func (found *key) usable() error {
	switch found.state {
	case disabled:
		return apierror.New("DisabledException", "%s is disabled.", found.arn)
	case pending:
		return apierror.New("KMSInvalidStateException", "%s is pending deletion.", found.arn)
	}
	return nil
}

// random returns a name of n bytes in hexadecimal digits.
func random(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

func newKeyID() string {
	h := random(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func newPrivateKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// epoch is a time as KMS writes it: seconds.
func epoch(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	seconds := float64(t.UnixMilli()) / 1000
	return &seconds
}
