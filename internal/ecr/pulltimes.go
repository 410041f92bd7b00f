package ecr

import (
	"context"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/internal/aws"
)

// PullTimeExclusions returns the ARNs of the roles and users whose pulls ECR does not record, in the account and region
// of a target. There are at most 100:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-time-update-exclusions.html
func PullTimeExclusions(ctx context.Context, clients *aws.Clients) ([]string, error) {
	var excluded []string
	in := &awsecr.ListPullTimeUpdateExclusionsInput{MaxResults: awssdk.Int32(maxPage)}
	for {
		out, err := clients.ECR.ListPullTimeUpdateExclusions(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the exclusions from recorded pull times: %w", err)
		}
		excluded = append(excluded, out.PullTimeUpdateExclusions...)
		if in.NextToken = out.NextToken; awssdk.ToString(in.NextToken) == "" {
			return excluded, nil
		}
	}
}
