package ecr

import (
	"regexp"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
)

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

// checkRegistry refuses another account's registry: none of its policies lets this account in.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (r *Registry) checkRegistry(c *caller.Caller, action, registryID, name string) error {
	switch {
	case registryID == "" || registryID == r.settings.Account:
		return nil
	case !accountPattern.MatchString(registryID):
		return invalid("Invalid parameter at 'registryId' failed to satisfy constraint: 'must satisfy regular expression '[0-9]{12}''")
	}
	arn := "arn:aws:ecr:" + r.settings.Region + ":" + registryID + ":repository/" + name
	return apierror.AccessDenied("User: " + c.ARN + " is not authorized to perform: ecr:" + action + " on resource: " + arn +
		" because no resource-based policy allows the ecr:" + action + " action")
}

const (
	blobMounting = "BLOB_MOUNTING"
	enabled      = "ENABLED"
	disabled     = "DISABLED"
)

type accountSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// setting authorises an action on an account setting, and refuses those that are not emulated.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutAccountSetting.html
func (r *Registry) setting(c *caller.Caller, action, name string) error {
	ctx := policy.Context{}
	ctx.Set("ecr:AccountSetting", name)
	if err := c.Authorize(caller.Access{Action: "ecr:" + action, Resource: "*", Context: ctx}); err != nil {
		return err
	}
	switch name {
	case blobMounting:
		return nil
	case "BASIC_SCAN_TYPE_VERSION", "REGISTRY_POLICY_SCOPE":
		return apierror.NotEmulated("account setting " + name)
	}
	return invalid("Invalid parameter at 'name' failed to satisfy constraint: 'Invalid setting name: %s'", name)
}

func (r *Registry) putAccountSetting(c *caller.Caller, in *accountSetting) (*accountSetting, error) {
	if err := r.setting(c, "PutAccountSetting", in.Name); err != nil {
		return nil, err
	}
	if in.Value != enabled && in.Value != disabled {
		return nil, invalid("Invalid parameter at 'value' failed to satisfy constraint: 'must be one of %s, %s'", enabled, disabled)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mounting = in.Value == enabled
	return in, nil
}

type settingNameIn struct {
	Name string `json:"name"`
}

func (r *Registry) getAccountSetting(c *caller.Caller, in *settingNameIn) (*accountSetting, error) {
	if err := r.setting(c, "GetAccountSetting", in.Name); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	value := disabled
	if r.mounting {
		value = enabled
	}
	return &accountSetting{in.Name, value}, nil
}

// Mount makes a layer of one repository another's, where the account's setting and the caller's rights allow it, and reports whether it did.
// Both repositories must be encrypted alike. Otherwise the client uploads the layer.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/blob-mounting.html
func (r *Registry) Mount(c *caller.Caller, name, from, digest string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.openForPush(c, "InitiateLayerUpload", "", name)
	if err != nil {
		return false, err
	}
	if !r.mounting || from == "" {
		return false, nil
	}
	source, err := r.open(c, "GetDownloadUrlForLayer", "", from)
	c.Resource = p.arn
	if err != nil {
		return false, nil // without the right to the source, nothing is mounted and the client uploads
	}
	l := source.layers[digest]
	if l == nil || l.refs == 0 || r.json(source).Encryption != r.json(p).Encryption {
		return false, nil
	}
	if p.layers[digest] == nil {
		r.blobs.Retain(l.blob)
		p.layers[digest] = &layer{blob: l.blob, uploaded: c.Now, refs: p.lost[digest]}
		delete(p.lost, digest)
	}
	return true, nil
}
