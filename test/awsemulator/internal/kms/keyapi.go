package kms

import (
	"fmt"
	"regexp"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type metadata struct {
	KeyID             string   `json:"KeyId"`
	Arn               string   `json:"Arn"`
	AccountID         string   `json:"AWSAccountId"`
	CreationDate      *float64 `json:"CreationDate"`
	DeletionDate      *float64 `json:"DeletionDate,omitempty"`
	Description       string   `json:"Description"`
	Enabled           bool     `json:"Enabled"`
	KeyManager        string   `json:"KeyManager"`
	KeySpec           string   `json:"KeySpec"`
	MasterKeySpec     string   `json:"CustomerMasterKeySpec"`
	KeyState          string   `json:"KeyState"`
	KeyUsage          string   `json:"KeyUsage"`
	MultiRegion       bool     `json:"MultiRegion"`
	Origin            string   `json:"Origin"`
	SigningAlgorithms []string `json:"SigningAlgorithms,omitempty"`
	Encryption        []string `json:"EncryptionAlgorithms,omitempty"`
}

type keyOut struct {
	Metadata metadata `json:"KeyMetadata"`
}

func (k *Keys) describe(found *key) *keyOut {
	out := metadata{
		KeyID: found.id, Arn: found.arn, AccountID: k.settings.Account, CreationDate: epoch(found.created), DeletionDate: epoch(found.goes),
		Description: found.description, Enabled: found.state == enabled, KeyManager: "CUSTOMER", KeySpec: found.spec, MasterKeySpec: found.spec,
		KeyState: found.state, KeyUsage: found.usage, Origin: "AWS_KMS",
	}
	if found.usage == signs {
		out.SigningAlgorithms = []string{ecdsaSHA256}
	} else {
		out.Encryption = []string{symmetric}
	}
	return &keyOut{out}
}

type createKeyIn struct {
	Description string `json:"Description"`
	KeySpec     string `json:"KeySpec"`
	KeyUsage    string `json:"KeyUsage"`
	Policy      string `json:"Policy"`
	Bypass      bool   `json:"BypassPolicyLockoutSafetyCheck"`
	MultiRegion bool   `json:"MultiRegion"`
}

// createKey makes a symmetric key, or one of the curve P-256 that signs. Without a policy the key leaves everything to IAM.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
func (k *Keys) createKey(c *caller.Caller, in *createKeyIn) (*keyOut, error) {
	made := &key{id: newKeyID(), spec: in.KeySpec, usage: in.KeyUsage, description: in.Description, created: c.Now, state: enabled, grants: map[string]*grant{}}
	if made.spec == "" {
		made.spec = symmetric
	}
	if made.usage == "" {
		made.usage = encrypts
	}
	switch made.spec {
	case symmetric, p256:
	default:
		return nil, apierror.NotEmulated("key spec " + made.spec)
	}
	if (made.spec == p256) != (made.usage == signs) {
		return nil, apierror.New("ValidationException", "KeyUsage %s is not compatible with KeySpec %s", made.usage, made.spec)
	}
	if in.MultiRegion {
		return nil, apierror.NotEmulated("a key of several regions")
	}
	ctx := policy.Context{}
	ctx.Set("kms:KeySpec", made.spec)
	ctx.Set("kms:KeyUsage", made.usage)
	if err := c.Authorize(caller.Access{Action: "kms:CreateKey", Resource: "*", Context: ctx}); err != nil {
		return nil, err
	}
	made.arn = k.arn("key/" + made.id)
	text := in.Policy
	if text == "" {
		text = fmt.Sprintf(`{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}`, k.settings.Account)
	}
	if err := k.setPolicy(c, made, text, in.Bypass); err != nil {
		return nil, err
	}
	if made.usage == signs {
		private, err := newPrivateKey()
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		made.private = private
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[made.id] = made
	return k.describe(made), nil
}

// setPolicy refuses a policy that would keep its own author from ever setting another one, unless told not to look.
func (k *Keys) setPolicy(c *caller.Caller, of *key, text string, bypass bool) error {
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateResourceBased()
	}
	if err == nil {
		doc, err = k.settings.Binder.BindPrincipals(doc)
	}
	if err != nil {
		return apierror.New("MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals, or is malformed: %s", err)
	}
	if !bypass {
		err := c.Authorize(caller.Access{Action: "kms:PutKeyPolicy", Resource: of.arn, ResourcePolicy: doc, MustAllow: true})
		if err != nil {
			return apierror.New("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
		}
	}
	of.policyText, of.policy = text, doc
	return nil
}

type keyIn struct {
	KeyID       string   `json:"KeyId"`
	GrantTokens []string `json:"GrantTokens"`
}

func (k *Keys) describeKey(c *caller.Caller, in *keyIn) (*keyOut, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "DescribeKey", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	return k.describe(found), nil
}

func (k *Keys) disableKey(c *caller.Caller, in *keyIn) (*wire.Empty, error) {
	return k.setState(c, "DisableKey", in.KeyID, disabled)
}

func (k *Keys) enableKey(c *caller.Caller, in *keyIn) (*wire.Empty, error) {
	return k.setState(c, "EnableKey", in.KeyID, enabled)
}

func (k *Keys) setState(c *caller.Caller, action, id, state string) (*wire.Empty, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, action, id, nil)
	if err != nil {
		return nil, err
	}
	if found.state == pending {
		return nil, found.usable()
	}
	found.state = state
	return &wire.Empty{}, nil
}

type scheduleIn struct {
	KeyID string `json:"KeyId"`
	Days  *int   `json:"PendingWindowInDays"`
}

type scheduleOut struct {
	KeyID        string   `json:"KeyId"`
	DeletionDate *float64 `json:"DeletionDate"`
	KeyState     string   `json:"KeyState"`
	Days         int      `json:"PendingWindowInDays"`
}

// scheduleKeyDeletion makes a key unusable at once, and removes it when its time is over.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
func (k *Keys) scheduleKeyDeletion(c *caller.Caller, in *scheduleIn) (*scheduleOut, error) {
	days := 30
	if in.Days != nil {
		days = *in.Days
	}
	if days < 7 || days > 30 {
		return nil, apierror.New("ValidationException", "PendingWindowInDays must be between 7 and 30")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "ScheduleKeyDeletion", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	if found.state == pending {
		return nil, found.usable()
	}
	found.state, found.goes = pending, c.Now.Add(time.Duration(days)*24*time.Hour)
	return &scheduleOut{found.arn, epoch(found.goes), found.state, days}, nil
}

type createAliasIn struct {
	Name   string `json:"AliasName"`
	Target string `json:"TargetKeyId"`
}

var aliasPattern = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

// createAlias needs rights to the key and to the alias.
// https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
func (k *Keys) createAlias(c *caller.Caller, in *createAliasIn) (*wire.Empty, error) {
	if !aliasPattern.MatchString(in.Name) {
		return nil, apierror.New("ValidationException", "Alias must start with the prefix \"alias/\" and have only letters, digits, and the characters /, _ and -")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "CreateAlias", in.Target, nil)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(caller.Access{Action: "kms:CreateAlias", Resource: k.arn(in.Name)}); err != nil {
		return nil, err
	}
	if _, taken := k.aliases[in.Name]; taken {
		return nil, apierror.New("AlreadyExistsException", "An alias with the name %s already exists", k.arn(in.Name))
	}
	k.aliases[in.Name] = found.id
	return &wire.Empty{}, nil
}

type getKeyPolicyIn struct {
	KeyID string `json:"KeyId"`
	Name  string `json:"PolicyName"`
}

type getKeyPolicyOut struct {
	Policy string `json:"Policy"`
	Name   string `json:"PolicyName"`
}

func (k *Keys) getKeyPolicy(c *caller.Caller, in *getKeyPolicyIn) (*getKeyPolicyOut, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "GetKeyPolicy", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	return &getKeyPolicyOut{found.policyText, "default"}, nil
}

type putKeyPolicyIn struct {
	KeyID  string `json:"KeyId"`
	Name   string `json:"PolicyName"`
	Policy string `json:"Policy"`
	Bypass bool   `json:"BypassPolicyLockoutSafetyCheck"`
}

func (k *Keys) putKeyPolicy(c *caller.Caller, in *putKeyPolicyIn) (*wire.Empty, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.open(c, "PutKeyPolicy", in.KeyID, nil)
	if err != nil {
		return nil, err
	}
	if in.Name != "" && in.Name != "default" {
		return nil, apierror.New("ValidationException", "the only valid PolicyName is default")
	}
	return &wire.Empty{}, k.setPolicy(c, found, in.Policy, in.Bypass)
}
