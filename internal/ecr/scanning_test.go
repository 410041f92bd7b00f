package ecr_test

import (
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/awsemulator"
)

func TestScanningOfTheRegistryIsRead(t *testing.T) {
	a := start(t, awsemulator.Options{})
	scanning, err := ecr.ReadScanning(t.Context(), a.clients)
	if err != nil || scanning.Enhanced || scanning.Selects(repository) {
		t.Errorf("by default %+v, %v", scanning, err)
	}
	_, err = a.clients.ECR.PutRegistryScanningConfiguration(t.Context(), &awsecr.PutRegistryScanningConfigurationInput{
		ScanType: types.ScanTypeEnhanced,
		Rules: []types.RegistryScanningRule{{
			ScanFrequency: types.ScanFrequencyContinuousScan,
			RepositoryFilters: []types.ScanningRepositoryFilter{
				{Filter: awssdk.String("gitpod-runner-*"), FilterType: types.ScanningRepositoryFilterTypeWildcard},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if scanning, err = ecr.ReadScanning(t.Context(), a.clients); err != nil || !scanning.Enhanced || !scanning.Selects(repository) {
		t.Errorf("enhanced scanning is %+v, %v", scanning, err)
	}
}

func TestScanningFiltersSelectByName(t *testing.T) {
	for filter, want := range map[string]bool{
		"*": true, "gitpod-runner-*": true, "projects": true, "*/projects/*/image-build": true, "*image-build": true,
		"gitpod-runner": true, "other": false, "runner-*": false, "*-build-*": false, "gitpod-runner-r2/*": false, "*p1/image": false,
	} {
		if got := (ecr.Scanning{Filters: []string{filter}}).Selects(repository); got != want {
			t.Errorf("filter %s selects %s: %v, want %v", filter, repository, got, want)
		}
	}
}
