package ecr

import (
	"regexp"
	"strings"
)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html#API_CreateRepository_RequestParameters
var repositoryPattern = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageIdentifier.html
var (
	digestPattern = regexp.MustCompile(`^[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+$`)
	sha256Pattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	tagPattern    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,299}$`)
)

// Limits: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
const (
	maxRepositories       = 100_000
	maxImages             = 100_000 // for each repository
	maxTagsPerImage       = 1000
	maxLayerPart          = 20 << 20
	minLayerPart          = 5 << 20 // but for the last
	partSize              = 10 << 20
	maxLayer              = 52_000 << 20
	maxManifest           = 4 << 20
	maxIDs                = 100
	maxPage               = 1000
	defaultPage           = 100
	maxRepositoryPolicy   = 10_240
	minLifecycle          = 100
	maxLifecycle          = 30_720
	maxLifecycleRules     = 50
	maxExclusionFilters   = 5
	maxPullTimeExclusions = 100
	maxScanRules          = 2
	maxRegistries         = 10
	maxScanFilters        = 100
	maxScanNames          = 25
)

func checkRepositoryName(name string) error {
	switch {
	case len(name) < 2 || len(name) > 256:
		return invalid("Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length between 2 and 256'")
	case !repositoryPattern.MatchString(name):
		return invalid("Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''")
	}
	return nil
}

func checkImageTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return registryError(400, "TAG_INVALID", "InvalidParameterException",
			"Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_.]{1,300}''")
	}
	return nil
}

// pageSize reads maxResults. Names and pages exclude each other, as the API's reference says of both.
func pageSize(maxResults *int, token string, named bool, named2 string) (int, error) {
	if named && (maxResults != nil || token != "") {
		return 0, invalid("Invalid parameter: maxResults and nextToken cannot be used with %s", named2)
	}
	if maxResults == nil {
		return defaultPage, nil
	}
	if *maxResults < 1 || *maxResults > maxPage {
		return 0, invalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be between 1 and %d'", maxPage)
	}
	return *maxResults, nil
}

// glob matches an ECR wildcard filter, in which * stands for any characters.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
