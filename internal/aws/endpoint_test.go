package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// hosts collects the hosts that calls go to, and answers none.
type hosts []string

func (h *hosts) Do(r *http.Request) (*http.Response, error) {
	*h = append(*h, r.URL.Host)
	return nil, errors.New("not sent")
}

// call calls each service once and returns the hosts, sorted.
func call(ctx context.Context, t *testing.T, region string) []string {
	t.Helper()
	p, err := NewProvider(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, called := p.Clients(Target{Region: region}), &hosts{}
	_, _ = c.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}, func(o *ecr.Options) { o.HTTPClient = called })
	_, _ = c.IAM.ListRoles(ctx, &iam.ListRolesInput{}, func(o *iam.Options) { o.HTTPClient = called })
	_, _ = c.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.HTTPClient = called })
	_, _ = c.CloudFormation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{}, func(o *cloudformation.Options) { o.HTTPClient = called })
	_, _ = c.Tagging.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{}, func(o *resourcegroupstaggingapi.Options) { o.HTTPClient = called })
	slices.Sort(*called)
	return slices.Compact(*called)
}

func TestEndpointsOfEveryPartition(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	for _, test := range []struct {
		region string
		fips   string
		want   []string
	}{
		{"cn-north-1", "false", []string{
			"api.ecr.cn-north-1.amazonaws.com.cn", "cloudformation.cn-north-1.amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn",
			"sts.cn-north-1.amazonaws.com.cn", "tagging.cn-north-1.amazonaws.com.cn",
		}},
		{"eusc-de-east-1", "false", []string{
			"api.ecr.eusc-de-east-1.amazonaws.eu", "cloudformation.eusc-de-east-1.amazonaws.eu", "iam.eusc-de-east-1.amazonaws.eu",
			"sts.eusc-de-east-1.amazonaws.eu", "tagging.eusc-de-east-1.amazonaws.eu",
		}},
		// The tagging service has no FIPS endpoint.
		{"us-east-1", "true", []string{
			"api.ecr-fips.us-east-1.amazonaws.com", "cloudformation-fips.us-east-1.amazonaws.com", "iam-fips.amazonaws.com",
			"sts-fips.us-east-1.amazonaws.com", "tagging.us-east-1.amazonaws.com",
		}},
	} {
		t.Setenv("AWS_USE_FIPS_ENDPOINT", test.fips)
		if got := call(t.Context(), t, test.region); !slices.Equal(got, test.want) {
			t.Errorf("%s, FIPS %s: %q, want %q", test.region, test.fips, got, test.want)
		}
	}
}
