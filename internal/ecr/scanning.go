package ecr

import (
	"context"
	"fmt"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/internal/aws"
)

// Scanning is what a registry's settings say about scans. It decides for all repositories, whatever their own settings
// are: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html
type Scanning struct {
	// Enhanced means that Amazon Inspector scans images. Otherwise ECR itself does.
	Enhanced bool
	// Filters select repositories by their names.
	Filters []string
}

// ReadScanning reads the scanning configuration of a target's registry, in one call.
func ReadScanning(ctx context.Context, clients *aws.Clients) (Scanning, error) {
	out, err := clients.ECR.GetRegistryScanningConfiguration(ctx, &awsecr.GetRegistryScanningConfigurationInput{})
	if err != nil {
		return Scanning{}, fmt.Errorf("get the registry's scanning configuration: %w", err)
	}
	if out.ScanningConfiguration == nil {
		return Scanning{}, nil
	}
	scanning := Scanning{Enhanced: out.ScanningConfiguration.ScanType == types.ScanTypeEnhanced}
	for _, rule := range out.ScanningConfiguration.Rules {
		for _, filter := range rule.RepositoryFilters {
			scanning.Filters = append(scanning.Filters, awssdk.ToString(filter.Filter))
		}
	}
	return scanning, nil
}

// Selects reports whether a rule selects a repository. A filter without a wildcard selects all names that contain it:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-filters.html
func (s Scanning) Selects(repository string) bool {
	for _, filter := range s.Filters {
		if matches(filter, repository) {
			return true
		}
	}
	return false
}

func matches(filter, name string) bool {
	parts := strings.Split(filter, "*")
	if len(parts) == 1 {
		return strings.Contains(name, filter)
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(name, first) {
		return false
	}
	rest := name[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, last)
}
