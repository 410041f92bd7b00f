package ecr

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type destination struct {
	Region     string `json:"region"`
	RegistryID string `json:"registryId"`
}

type repositoryFilter struct {
	Filter     string `json:"filter"`
	FilterType string `json:"filterType"`
}

type deleteReplication struct {
	Enabled bool `json:"enabled"`
}

type replicationRule struct {
	Destinations      []destination      `json:"destinations"`
	RepositoryFilters []repositoryFilter `json:"repositoryFilters,omitempty"`
	DeleteReplication *deleteReplication `json:"deleteReplication,omitempty"`
}

// takes reports whether a rule concerns a repository: one of its prefixes begins the name, or it has none.
func (rule *replicationRule) takes(name string) bool {
	return len(rule.RepositoryFilters) == 0 || slices.ContainsFunc(rule.RepositoryFilters, func(f repositoryFilter) bool { return strings.HasPrefix(name, f.Filter) })
}

type replicationConfiguration struct {
	Rules []replicationRule `json:"rules"`
}

type replicationOut struct {
	Configuration replicationConfiguration `json:"replicationConfiguration"`
}

type describeRegistryOut struct {
	RegistryID  string                   `json:"registryId"`
	Replication replicationConfiguration `json:"replicationConfiguration"`
}

func (r *Registry) describeRegistry(c *caller.Caller, _ *wire.Empty) (*describeRegistryOut, error) {
	if err := registryAction(c, "DescribeRegistry"); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return &describeRegistryOut{r.settings.Account, replicationConfiguration{append([]replicationRule{}, r.replication...)}}, nil
}

// Limits: https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html
const (
	maxReplicationRules   = 10
	maxReplicationTargets = 25
	maxReplicationFilters = 100
)

// putReplicationConfiguration replaces all rules. It is a right to the registry, and no repository's policy is asked.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutReplicationConfiguration.html
func (r *Registry) putReplicationConfiguration(c *caller.Caller, in *replicationOut) (*replicationOut, error) {
	if err := registryAction(c, "PutReplicationConfiguration"); err != nil {
		return nil, err
	}
	rules := in.Configuration.Rules
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(rules) > maxReplicationRules {
		return nil, invalid("Invalid parameter at 'rules' failed to satisfy constraint: 'must have between 0 and %d members'", maxReplicationRules)
	}
	targets := map[destination]bool{}
	for i := range rules {
		if err := r.checkRule(&rules[i], targets); err != nil {
			return nil, err
		}
	}
	if len(targets) > maxReplicationTargets {
		return nil, invalid("Invalid parameter at 'destinations' failed to satisfy constraint: 'at most %d unique destinations'", maxReplicationTargets)
	}
	r.replication = rules
	return in, nil
}

func (r *Registry) checkRule(rule *replicationRule, targets map[destination]bool) error {
	if len(rule.Destinations) == 0 || len(rule.RepositoryFilters) > maxReplicationFilters {
		return invalid("Invalid parameter at 'rules' failed to satisfy constraint: 'a rule has destinations, and at most %d filters'", maxReplicationFilters)
	}
	for _, d := range rule.Destinations {
		switch {
		case d.RegistryID != r.settings.Account:
			return apierror.NotEmulated("replication to another account")
		case d.Region == r.settings.Region:
			return apierror.New("ValidationException", "Invalid parameter at 'destinations': the registry can't replicate to itself")
		case r.peers[d.Region] == nil:
			return apierror.NotEmulated("replication to region " + d.Region + ", to which no emulator is connected,")
		}
		targets[d] = true
	}
	for _, f := range rule.RepositoryFilters {
		if f.FilterType != "PREFIX_MATCH" || f.Filter == "" {
			return invalid("Invalid parameter at 'repositoryFilters' failed to satisfy constraint: 'filterType must be PREFIX_MATCH, with a prefix'")
		}
	}
	return nil
}

type replicaStatus struct {
	Region      string `json:"region"`
	RegistryID  string `json:"registryId"`
	Status      string `json:"status"`
	FailureCode string `json:"failureCode,omitempty"`
}

type replicationStatusIn struct {
	RegistryID     string  `json:"registryId"`
	RepositoryName string  `json:"repositoryName"`
	ImageID        imageID `json:"imageId"`
}

type replicationStatusOut struct {
	RepositoryName string          `json:"repositoryName"`
	ImageID        imageID         `json:"imageId"`
	Statuses       []replicaStatus `json:"replicationStatuses"`
}

func (r *Registry) describeImageReplicationStatus(c *caller.Caller, in *replicationStatusIn) (*replicationStatusOut, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.read(c, "DescribeImageReplicationStatus", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	img, _, _ := p.find(in.ImageID)
	if img == nil {
		return nil, imageNotFound(in.ImageID.String(), p.name, r.settings.Account)
	}
	return &replicationStatusOut{p.name, imageID{img.digest, in.ImageID.Tag}, append([]replicaStatus{}, img.replicas...)}, nil
}

type backfillIn struct {
	Destination destination `json:"destination"`
	RegistryID  string      `json:"registryId"`
}

type backfillOut struct {
	RegistryID  string      `json:"registryId"`
	Destination destination `json:"destination"`
	ID          string      `json:"replicationBackfillId"`
	Status      string      `json:"status"`
	StartedAt   *epoch      `json:"startedAt"`
}

// startReplicationBackfill replicates the images that exist. It is over at once.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication-backfill.html
func (r *Registry) startReplicationBackfill(c *caller.Caller, in *backfillIn) (*backfillOut, error) {
	if err := r.checkRegistry(c, "StartReplicationBackfill", in.RegistryID, "*"); err != nil {
		return nil, err
	}
	if err := registryAction(c, "StartReplicationBackfill"); err != nil {
		return nil, err
	}
	type one struct{ name, digest, tag string }
	var all []one
	r.mu.RLock()
	configured := false
	for i := range r.replication {
		rule := &r.replication[i]
		if !slices.Contains(rule.Destinations, in.Destination) {
			continue
		}
		configured = true
		for _, name := range r.names {
			for digest, img := range r.repos[name].images {
				for _, id := range img.ids() {
					if rule.takes(name) {
						all = append(all, one{name, digest, id.Tag})
					}
				}
			}
		}
	}
	peer := r.peers[in.Destination.Region]
	r.mu.RUnlock()
	if !configured {
		return nil, apierror.New("ValidationException", "The destination is not part of the registry's replication configuration")
	}
	for _, image := range all {
		r.send(peer, image.name, image.digest, image.tag)
	}
	return &backfillOut{r.settings.Account, in.Destination, newUploadID(), "PREPARING", epochOf(c.Now)}, nil
}
