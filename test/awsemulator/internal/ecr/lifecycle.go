package ecr

import (
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

type lifecyclePolicy struct {
	text  string
	rules []lifecycleRule // by priority
	ran   time.Time
}

type putLifecycleIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	Text           string `json:"lifecyclePolicyText"`
}

type lifecycleOut struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	Text           string `json:"lifecyclePolicyText"`
	Ran            *epoch `json:"lastEvaluatedAt,omitempty"`
}

func (r *Registry) putLifecyclePolicy(c *caller.Caller, in *putLifecycleIn) (*lifecycleOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "PutLifecyclePolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	rules, err := parseLifecycle(in.Text)
	if err != nil {
		return nil, invalid("Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: %s'", err)
	}
	p.lifecycle = &lifecyclePolicy{text: in.Text, rules: rules}
	return &lifecycleOut{RegistryID: r.settings.Account, RepositoryName: p.name, Text: in.Text}, nil
}

func noLifecycle(name, registryID string) error {
	return apierror.New("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", name, registryID)
}

func (r *Registry) getLifecyclePolicy(c *caller.Caller, in *repositoryIn) (*lifecycleOut, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "GetLifecyclePolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if p.lifecycle == nil {
		return nil, noLifecycle(p.name, r.settings.Account)
	}
	return &lifecycleOut{r.settings.Account, p.name, p.lifecycle.text, epochOf(p.lifecycle.ran)}, nil
}

func (r *Registry) deleteLifecyclePolicy(c *caller.Caller, in *repositoryIn) (*lifecycleOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "DeleteLifecyclePolicy", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if p.lifecycle == nil {
		return nil, noLifecycle(p.name, r.settings.Account)
	}
	out := &lifecycleOut{r.settings.Account, p.name, p.lifecycle.text, epochOf(p.lifecycle.ran)}
	p.lifecycle = nil
	return out, nil
}

// Tick applies what time does: lifecycle policies once in every period of the emulator's clock, and the loss of uploads that nobody
// finished and of old layers that no image names. ECR acts within 24 hours after an image becomes eligible.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
func (r *Registry) Tick() {
	now := r.settings.Clock.Now()
	r.mu.RLock()
	due := now.Sub(r.swept) >= r.settings.LifecycleEvery
	r.mu.RUnlock()
	if !due {
		return
	}
	r.mu.Lock()
	var stale []*upload
	if since := now.Sub(r.swept); since >= r.settings.LifecycleEvery {
		// As of the end of the last whole period: nobody need have called for the policies to have run then.
		r.swept = now.Add(-(since % r.settings.LifecycleEvery))
		r.sweep(r.swept)
		stale = r.forget(func(u *upload) bool { return u.started.Add(day).Before(now) })
	}
	r.mu.Unlock()
	cancel(stale)
}

const day = 24 * time.Hour

// RunLifecycle applies all lifecycle policies now, and says how many images they expired.
func (r *Registry) RunLifecycle() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sweep(r.settings.Clock.Now())
}

// AgeImages moves the push times of a repository's images into the past, and says how many there are: old images without a clock
// that ends all sessions too. An empty name means all repositories.
func (r *Registry) AgeImages(name string, by time.Duration) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.repos {
		if name != "" && p.name != name {
			continue
		}
		for _, img := range p.images {
			img.pushed = img.pushed.Add(-by)
			n++
		}
	}
	return n
}

func (r *Registry) sweep(now time.Time) int {
	n := 0
	for _, p := range r.repos {
		if p.lifecycle != nil {
			n += p.applyLifecycle(now)
			p.lifecycle.ran = now
		}
		n += p.removeOrphans()
		r.vanish(p, now.Add(-day))
	}
	return n
}
