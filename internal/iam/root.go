package iam

import (
	"context"
	"fmt"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"imagecache.dev/internal/aws"
)

// RootHasCredentials reports whether the account's root user has a password or access keys. The root user of a member
// account of an organization may have none:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user.html#id_root-user-access-management
func RootHasCredentials(ctx context.Context, clients *aws.Clients) (bool, error) {
	out, err := clients.IAM.GetAccountSummary(ctx, &awsiam.GetAccountSummaryInput{})
	if err != nil {
		return false, fmt.Errorf("get the account's summary: %w", err)
	}
	return out.SummaryMap[string(types.SummaryKeyTypeAccountPasswordPresent)] > 0 ||
		out.SummaryMap[string(types.SummaryKeyTypeAccountAccessKeysPresent)] > 0, nil
}
