package ecr

import (
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// registryAction authorises an action on the registry as a whole, which has no ARN.
func registryAction(c *caller.Caller, action string) error {
	return c.Authorize(caller.Access{Action: "ecr:" + action, Resource: "*"})
}

type registryPolicyIn struct {
	PolicyText string `json:"policyText"`
}

type registryPolicyOut struct {
	RegistryID string `json:"registryId"`
	PolicyText string `json:"policyText"`
}

// putRegistryPolicy keeps the policy. It grants replication, creation and pull-through to other accounts, and there are none.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry-permissions.html
func (r *Registry) putRegistryPolicy(c *caller.Caller, in *registryPolicyIn) (*registryPolicyOut, error) {
	if err := registryAction(c, "PutRegistryPolicy"); err != nil {
		return nil, err
	}
	if len(in.PolicyText) > maxRepositoryPolicy {
		return nil, invalid("Invalid parameter at 'PolicyText' failed to satisfy constraint: 'must have length less than or equal to %d'", maxRepositoryPolicy)
	}
	doc, err := policy.Parse(in.PolicyText)
	if err == nil {
		err = doc.ValidateResourceBased()
	}
	if err == nil {
		_, err = r.settings.Binder.BindPrincipals(doc)
	}
	if err != nil {
		return nil, invalid("Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.policyText = in.PolicyText
	return &registryPolicyOut{r.settings.Account, r.policyText}, nil
}

func (r *Registry) noRegistryPolicy() error {
	return apierror.New("RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '%s'", r.settings.Account)
}

func (r *Registry) getRegistryPolicy(c *caller.Caller, _ *wire.Empty) (*registryPolicyOut, error) {
	if err := registryAction(c, "GetRegistryPolicy"); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.policyText == "" {
		return nil, r.noRegistryPolicy()
	}
	return &registryPolicyOut{r.settings.Account, r.policyText}, nil
}

func (r *Registry) deleteRegistryPolicy(c *caller.Caller, _ *wire.Empty) (*registryPolicyOut, error) {
	if err := registryAction(c, "DeleteRegistryPolicy"); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.policyText == "" {
		return nil, r.noRegistryPolicy()
	}
	out := &registryPolicyOut{r.settings.Account, r.policyText}
	r.policyText = ""
	return out, nil
}
