package ecr

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/wire"
)

const (
	basicScanning    = "BASIC"
	enhancedScanning = "ENHANCED"

	scanOnPush       = "SCAN_ON_PUSH"
	scanContinuously = "CONTINUOUS_SCAN"
	scanManually     = "MANUAL"
)

type scanFilter struct {
	Filter     string `json:"filter"`
	FilterType string `json:"filterType"`
}

type scanRule struct {
	Frequency string       `json:"scanFrequency"`
	Filters   []scanFilter `json:"repositoryFilters"`
}

type registryScanning struct {
	ScanType string     `json:"scanType"`
	Rules    []scanRule `json:"rules"`
}

type putRegistryScanningOut struct {
	Scanning registryScanning `json:"registryScanningConfiguration"`
}

// putRegistryScanning sets which repositories are scanned, and when. From then on it decides, and not the setting of each repository.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutRegistryScanningConfiguration.html
func (r *Registry) putRegistryScanning(c *caller.Caller, in *registryScanning) (*putRegistryScanningOut, error) {
	if err := registryAction(c, "PutRegistryScanningConfiguration"); err != nil {
		return nil, err
	}
	if in.ScanType == "" {
		in.ScanType = basicScanning
	}
	if in.Rules == nil {
		in.Rules = []scanRule{}
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scanning = in
	return &putRegistryScanningOut{*in}, nil
}

func (s *registryScanning) check() error {
	frequencies := []string{scanOnPush, scanManually}
	switch s.ScanType {
	case basicScanning:
	case enhancedScanning:
		frequencies = []string{scanOnPush, scanContinuously}
	default:
		return invalid("Invalid parameter at 'scanType' failed to satisfy constraint: 'must be one of %s, %s'", basicScanning, enhancedScanning)
	}
	if len(s.Rules) > maxScanRules {
		return invalid("Invalid parameter at 'rules' failed to satisfy constraint: 'must have length less than or equal to %d'", maxScanRules)
	}
	for _, rule := range s.Rules {
		if !slices.Contains(frequencies, rule.Frequency) {
			return invalid("Invalid parameter at 'scanFrequency' failed to satisfy constraint: 'must be one of %s for scan type %s'", strings.Join(frequencies, ", "), s.ScanType)
		}
		if len(rule.Filters) > maxScanFilters {
			return invalid("Invalid parameter at 'repositoryFilters' failed to satisfy constraint: 'must have length less than or equal to %d'", maxScanFilters)
		}
		for _, f := range rule.Filters {
			if f.FilterType != "WILDCARD" || f.Filter == "" {
				return invalid("Invalid parameter at 'repositoryFilters' failed to satisfy constraint: 'must have a filter of type WILDCARD'")
			}
		}
	}
	return nil
}

// takes reports whether a filter selects a repository: one without a wildcard selects all names that contain it.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-filters.html
func (f scanFilter) takes(name string) bool {
	if strings.Contains(f.Filter, "*") {
		return glob(f.Filter, name)
	}
	return strings.Contains(name, f.Filter)
}

// frequency returns when a repository's images are scanned, and the filters that say so.
func (r *Registry) frequency(p *repository) (when string, applied []scanFilter) {
	if r.scanning == nil {
		if p.scanOnPush {
			return scanOnPush, nil
		}
		return scanManually, nil
	}
	when = scanManually
	for _, rule := range r.scanning.Rules {
		for _, f := range rule.Filters {
			// Where two rules select a repository, the continuous one is applied.
			if f.takes(p.name) && (when == scanManually || rule.Frequency == scanContinuously) {
				when, applied = rule.Frequency, append(applied, f)
			}
		}
	}
	return when, applied
}

// scansPushes reports whether a basic scan follows a push. Amazon Inspector does enhanced scans, and is not emulated.
func (r *Registry) scansPushes(p *repository) bool {
	when, _ := r.frequency(p)
	return when == scanOnPush && (r.scanning == nil || r.scanning.ScanType == basicScanning)
}

type getRegistryScanningOut struct {
	RegistryID string           `json:"registryId"`
	Scanning   registryScanning `json:"scanningConfiguration"`
}

func (r *Registry) getRegistryScanning(c *caller.Caller, _ *wire.Empty) (*getRegistryScanningOut, error) {
	if err := registryAction(c, "GetRegistryScanningConfiguration"); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := &getRegistryScanningOut{r.settings.Account, registryScanning{basicScanning, []scanRule{}}}
	if r.scanning != nil {
		out.Scanning = *r.scanning
	}
	return out, nil
}

type repositoryNamesIn struct {
	Names []string `json:"repositoryNames"`
}

type repositoryScanning struct {
	ARN        string       `json:"repositoryArn"`
	Name       string       `json:"repositoryName"`
	ScanOnPush bool         `json:"scanOnPush"`
	Frequency  string       `json:"scanFrequency"`
	Applied    []scanFilter `json:"appliedScanFilters"`
}

type scanningFailure struct {
	Name   string `json:"repositoryName"`
	Code   string `json:"failureCode"`
	Reason string `json:"failureReason"`
}

type repositoryScanningOut struct {
	Found    []repositoryScanning `json:"scanningConfigurations"`
	Failures []scanningFailure    `json:"failures"`
}

// batchGetRepositoryScanning: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetRepositoryScanningConfiguration.html
func (r *Registry) batchGetRepositoryScanning(c *caller.Caller, in *repositoryNamesIn) (*repositoryScanningOut, error) {
	if len(in.Names) < 1 || len(in.Names) > maxScanNames {
		return nil, invalid("Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'must have between 1 and %d members'", maxScanNames)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := &repositoryScanningOut{Found: []repositoryScanning{}, Failures: []scanningFailure{}}
	for _, name := range in.Names {
		if err := r.authorize(c, "BatchGetRepositoryScanningConfiguration", name, nil); err != nil {
			return nil, err
		}
		p := r.repos[name]
		if p == nil {
			out.Failures = append(out.Failures, scanningFailure{name, "REPOSITORY_NOT_FOUND", "Requested repository not found"})
			continue
		}
		when, applied := r.frequency(p)
		out.Found = append(out.Found, repositoryScanning{p.arn, p.name, when == scanOnPush, when, append([]scanFilter{}, applied...)})
	}
	return out, nil
}
