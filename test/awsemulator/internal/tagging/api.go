// Package tagging is Resource Groups Tagging's JSON API over the account's repositories and roles.
package tagging

import (
	"slices"
	"sort"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/ecr"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// TargetPrefix is the first part of the X-Amz-Target header.
const TargetPrefix = "ResourceGroupsTaggingAPI_20170126"

// Service finds resources by tag.
type Service struct {
	registry *ecr.Registry
}

// New makes the service.
func New(r *ecr.Registry) *Service { return &Service{registry: r} }

// Operations is the API.
func (s *Service) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetResources": wire.Op(s.getResources),
		"GetTagKeys":   wire.Op(s.getTagKeys),
	}
}

type filter struct {
	Key    string
	Values []string
}

type getResourcesIn struct {
	PaginationToken     string
	TagFilters          []filter
	ResourcesPerPage    *int
	TagsPerPage         *int
	ResourceTypeFilters []string
	ResourceARNList     []string
}

type mapping struct {
	ResourceARN string
	Tags        []tag.Tag
}

type getResourcesOut struct {
	PaginationToken        string
	ResourceTagMappingList []mapping
}

// Limits: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
const (
	maxPerPage = 100
	maxFilters = 50
	maxValues  = 20
	maxARNs    = 100
)

func invalid(format string, args ...any) error {
	return apierror.New("InvalidParameterException", format, args...)
}

func (in *getResourcesIn) check() (int, error) {
	size := maxPerPage
	if in.ResourcesPerPage != nil {
		size = *in.ResourcesPerPage
	}
	switch {
	case size < 1 || size > maxPerPage:
		return 0, invalid("ResourcesPerPage must be between 1 and %d", maxPerPage)
	case in.TagsPerPage != nil:
		return 0, apierror.NotEmulated("TagsPerPage")
	case len(in.TagFilters) > maxFilters:
		return 0, invalid("TagFilters can have %d members", maxFilters)
	case len(in.ResourceARNList) > maxARNs:
		return 0, invalid("ResourceARNList can have %d members", maxARNs)
	case len(in.ResourceARNList) > 0 && (len(in.TagFilters) > 0 || len(in.ResourceTypeFilters) > 0 || in.ResourcesPerPage != nil):
		return 0, invalid("ResourceARNList can not be used with other filters or pages")
	}
	for _, f := range in.TagFilters {
		if f.Key == "" || len(f.Values) > maxValues {
			return 0, invalid("a tag filter has a key and at most %d values", maxValues)
		}
	}
	for _, t := range in.ResourceTypeFilters {
		if t != "ecr" && t != "ecr:repository" {
			return 0, apierror.NotEmulated("resource type " + t)
		}
	}
	return size, nil
}

func (s *Service) getResources(c *caller.Caller, in *getResourcesIn) (*getResourcesOut, error) {
	size, err := in.check()
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(caller.Access{Action: "tag:GetResources", Resource: "*"}); err != nil {
		return nil, err
	}
	all := s.registry.Tagged()
	kept := all[:0]
	for _, r := range all {
		if in.takes(r) {
			kept = append(kept, r)
		}
	}
	part, next, err := page.Cut(kept, func(r ecr.Tagged) string { return r.ARN }, in.PaginationToken, size)
	if err != nil {
		return nil, apierror.New("PaginationTokenExpiredException", "the token is not one of this operation")
	}
	out := &getResourcesOut{PaginationToken: next, ResourceTagMappingList: []mapping{}}
	for _, r := range part {
		out.ResourceTagMappingList = append(out.ResourceTagMappingList, mapping{r.ARN, tag.List(r.Tags)})
	}
	return out, nil
}

// takes: every filter must match a tag, each with one of its values, or with any where it has none.
func (in *getResourcesIn) takes(r ecr.Tagged) bool {
	if len(in.ResourceARNList) > 0 && !slices.Contains(in.ResourceARNList, r.ARN) {
		return false
	}
	for _, f := range in.TagFilters {
		v, ok := r.Tags[f.Key]
		if !ok || (len(f.Values) > 0 && !slices.Contains(f.Values, v)) {
			return false
		}
	}
	return true
}

type getTagKeysIn struct{ PaginationToken string }

type getTagKeysOut struct {
	PaginationToken string
	TagKeys         []string
}

func (s *Service) getTagKeys(c *caller.Caller, in *getTagKeysIn) (*getTagKeysOut, error) {
	if err := c.Authorize(caller.Access{Action: "tag:GetTagKeys", Resource: "*"}); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	keys := []string{}
	for _, r := range s.registry.Tagged() {
		for k := range r.Tags {
			if !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	sort.Slice(keys, func(i, j int) bool { return strings.Compare(keys[i], keys[j]) < 0 })
	part, next, err := page.Cut(keys, func(s string) string { return s }, in.PaginationToken, maxPerPage)
	if err != nil {
		return nil, apierror.New("PaginationTokenExpiredException", "the token is not one of this operation")
	}
	return &getTagKeysOut{next, part}, nil
}
