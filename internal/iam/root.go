package iam

import (
	"context"
	"errors"
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
	return rootHasCredentials(out.SummaryMap)
}

// rootHasCredentials reads an account's summary. What the summary does not name is not known.
func rootHasCredentials(summary map[string]int32) (bool, error) {
	password, told := summary[string(types.SummaryKeyTypeAccountPasswordPresent)]
	keys, alsoTold := summary[string(types.SummaryKeyTypeAccountAccessKeysPresent)]
	if has := password > 0 || keys > 0; has || told && alsoTold {
		return has, nil
	}
	return false, errors.New("the account's summary does not tell whether the root user has a password and access keys")
}
