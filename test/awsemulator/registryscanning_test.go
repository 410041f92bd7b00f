package awsemulator_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

func scanningRule(frequency types.ScanFrequency, filters ...string) types.RegistryScanningRule {
	rule := types.RegistryScanningRule{ScanFrequency: frequency, RepositoryFilters: []types.ScanningRepositoryFilter{}}
	for _, filter := range filters {
		rule.RepositoryFilters = append(rule.RepositoryFilters, types.ScanningRepositoryFilter{Filter: &filter, FilterType: types.ScanningRepositoryFilterTypeWildcard})
	}
	return rule
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutRegistryScanningConfiguration.html
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-filters.html
func TestRegistryDecidesWhatIsScanned(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	for _, name := range []string{"team/app", "other/app", "plain"} {
		createRepository(t, c, name)
	}
	must(c.ecr.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RepositoryName: aws.String("plain"), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
	}))
	frequencies := func() map[string]types.ScanFrequency {
		out := must(c.ecr.BatchGetRepositoryScanningConfiguration(ctx, &ecr.BatchGetRepositoryScanningConfigurationInput{
			RepositoryNames: []string{"team/app", "other/app", "plain", "none"},
		}))
		if len(out.Failures) != 1 || *out.Failures[0].RepositoryName != "none" {
			t.Errorf("failures %+v", out.Failures)
		}
		found := map[string]types.ScanFrequency{}
		for _, one := range out.ScanningConfigurations {
			found[*one.RepositoryName] = one.ScanFrequency
			described := must(c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*one.RepositoryName}})).Repositories[0]
			if described.ImageScanningConfiguration.ScanOnPush != one.ScanOnPush {
				t.Errorf("%s is described otherwise", *one.RepositoryName)
			}
		}
		return found
	}
	if got := must(c.ecr.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})); got.ScanningConfiguration.ScanType != types.ScanTypeBasic {
		t.Errorf("by default %+v", got.ScanningConfiguration)
	}
	if diff := cmp.Diff(map[string]types.ScanFrequency{"team/app": "MANUAL", "other/app": "MANUAL", "plain": "SCAN_ON_PUSH"}, frequencies()); diff != "" {
		t.Error(diff)
	}
	must(c.ecr.PutRegistryScanningConfiguration(ctx, &ecr.PutRegistryScanningConfigurationInput{
		ScanType: types.ScanTypeEnhanced, Rules: []types.RegistryScanningRule{scanningRule("SCAN_ON_PUSH", "app"), scanningRule("CONTINUOUS_SCAN", "team/*")},
	}))
	if diff := cmp.Diff(map[string]types.ScanFrequency{"team/app": "CONTINUOUS_SCAN", "other/app": "SCAN_ON_PUSH", "plain": "MANUAL"}, frequencies()); diff != "" {
		t.Error(diff)
	}
	for name, wrong := range map[string]*ecr.PutRegistryScanningConfigurationInput{
		"continuous basic scans": {ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{scanningRule("CONTINUOUS_SCAN", "*")}},
		"three rules":            {Rules: []types.RegistryScanningRule{scanningRule("MANUAL"), scanningRule("MANUAL"), scanningRule("MANUAL")}},
		"an unknown type":        {ScanType: "DEEP"},
	} {
		if _, err := c.ecr.PutRegistryScanningConfiguration(ctx, wrong); code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
