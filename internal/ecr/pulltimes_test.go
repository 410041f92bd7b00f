package ecr_test

import (
	"fmt"
	"slices"
	"testing"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/awsemulator"
)

func TestPullTimeExclusionsAreReadToTheEnd(t *testing.T) {
	a := start(t, awsemulator.Options{})
	var want []string
	for n := range 3 {
		arn := fmt.Sprintf("arn:aws:iam::%s:role/scanner-%d", a.AccountID(), n)
		want = append(want, arn)
		if _, err := a.clients.ECR.RegisterPullTimeUpdateExclusion(t.Context(), &awsecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arn}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ecr.PullTimeExclusions(t.Context(), a.clients)
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("exclusions %v, %v; want %v", got, err, want)
	}
}
