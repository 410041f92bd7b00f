package ecr

import (
	"regexp"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
const (
	mutable              = "MUTABLE"
	immutable            = "IMMUTABLE"
	mutableWithExclusion = "MUTABLE_WITH_EXCLUSION"
	immutableWithExclus  = "IMMUTABLE_WITH_EXCLUSION"
)

type exclusionFilter struct {
	Filter     string `json:"filter"`
	FilterType string `json:"filterType"`
}

var filterPattern = regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`)

func checkMutability(setting string, filters []exclusionFilter) error {
	switch setting {
	case mutable, immutable:
		if len(filters) > 0 {
			return invalid("Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'must be empty when imageTagMutability is %s'", setting)
		}
	case mutableWithExclusion, immutableWithExclus:
		if len(filters) == 0 || len(filters) > maxExclusionFilters {
			return invalid("Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'must have between 1 and %d members'", maxExclusionFilters)
		}
	default:
		return invalid("Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'must be one of MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION'")
	}
	for _, f := range filters {
		switch {
		case f.FilterType != "WILDCARD":
			return invalid("Invalid parameter at 'filterType' failed to satisfy constraint: 'must be WILDCARD'")
		case !filterPattern.MatchString(f.Filter) || strings.Count(f.Filter, "*") > 2:
			return invalid("Invalid parameter at 'filter' failed to satisfy constraint: 'up to 128 letters, digits, and . _ - * with at most two wildcards'")
		}
	}
	return nil
}

// immutableTag says whether the tag, once it is there, can't be moved.
func (p *repository) immutableTag(tag string) bool {
	excluded := false
	for _, f := range p.filters {
		excluded = excluded || glob(f.Filter, tag)
	}
	switch p.mutability {
	case immutable:
		return true
	case immutableWithExclus:
		return !excluded
	case mutableWithExclusion:
		return excluded
	}
	return false
}

type mutabilityIn struct {
	RegistryID         string            `json:"registryId"`
	RepositoryName     string            `json:"repositoryName"`
	ImageTagMutability string            `json:"imageTagMutability"`
	Filters            []exclusionFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
}

func (r *Registry) putImageTagMutability(c *caller.Caller, in *mutabilityIn) (*mutabilityIn, error) {
	if err := checkMutability(in.ImageTagMutability, in.Filters); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "PutImageTagMutability", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	p.mutability, p.filters = in.ImageTagMutability, in.Filters
	return &mutabilityIn{r.settings.Account, p.name, p.mutability, p.filters}, nil
}

type scanningIn struct {
	RegistryID     string   `json:"registryId"`
	RepositoryName string   `json:"repositoryName"`
	Scanning       scanning `json:"imageScanningConfiguration"`
}

// putImageScanningConfiguration decides whether images are scanned when they are pushed.
func (r *Registry) putImageScanningConfiguration(c *caller.Caller, in *scanningIn) (*scanningIn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "PutImageScanningConfiguration", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	p.scanOnPush = in.Scanning.ScanOnPush
	return &scanningIn{r.settings.Account, p.name, in.Scanning}, nil
}
