package ecr

import (
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
)

type setPolicyIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	PolicyText     string `json:"policyText"`
	Force          bool   `json:"force"`
}

type policyOut struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	PolicyText     string `json:"policyText"`
}

// setRepositoryPolicy refuses a policy that would keep its own author from ever setting another one, unless forced.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_SetRepositoryPolicy.html
func (r *Registry) setRepositoryPolicy(c *caller.Caller, in *setPolicyIn) (*policyOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "SetRepositoryPolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
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
		doc, err = r.settings.Binder.BindPrincipals(doc)
	}
	if err != nil {
		return nil, invalid("Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided': %s", err)
	}
	if !in.Force {
		access := caller.Access{Action: "ecr:SetRepositoryPolicy", Resource: p.arn, ResourcePolicy: doc}
		if err := c.Authorize(access); err != nil {
			return nil, invalid("Invalid parameter at 'PolicyText' failed to satisfy constraint: 'the policy would prevent its author from setting another policy; use force'")
		}
	}
	p.policyText = in.PolicyText
	p.setPolicy(c.Now, r.settings.PolicyDelay, doc)
	return &policyOut{r.settings.Account, p.name, p.policyText}, nil
}

type repositoryIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
}

func noRepositoryPolicy(name, registryID string) error {
	return apierror.New("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", name, registryID)
}

func (r *Registry) getRepositoryPolicy(c *caller.Caller, in *repositoryIn) (*policyOut, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "GetRepositoryPolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if p.policyText == "" {
		return nil, noRepositoryPolicy(p.name, r.settings.Account)
	}
	return &policyOut{r.settings.Account, p.name, p.policyText}, nil
}

func (r *Registry) deleteRepositoryPolicy(c *caller.Caller, in *repositoryIn) (*policyOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "DeleteRepositoryPolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if p.policyText == "" {
		return nil, noRepositoryPolicy(p.name, r.settings.Account)
	}
	out := &policyOut{r.settings.Account, p.name, p.policyText}
	p.policyText = ""
	p.setPolicy(c.Now, r.settings.PolicyDelay, nil)
	return out, nil
}
