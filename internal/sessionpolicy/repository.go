package sessionpolicy

import (
	"fmt"
	"slices"
)

var (
	publishActions = []string{"ecr:BatchDeleteImage", "ecr:PutImage", "ecr:UpdateImageStorageClass"}
	// The policy restricts deletion too: a principal that could delete and create the repository again would have one
	// without this policy.
	settingActions = []string{
		"ecr:DeleteLifecyclePolicy", "ecr:DeleteRepository", "ecr:DeleteRepositoryPolicy", "ecr:PutImageTagMutability",
		"ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy",
	}
	tagActions  = []string{"ecr:TagResource", "ecr:UntagResource"}
	readActions = []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
)

// RepositoryAccess lists the principals of one project's repository.
type RepositoryAccess struct {
	Partition string
	AccountID string
	// ControllerARN publishes, deletes and configures.
	ControllerARN string
	// ProjectID is the value of the tag on sessions of the project.
	ProjectID string
	// PullRoleARN is the role whose sessions pull, if they belong to this project. Empty means that no session pulls,
	// as when the cache is switched off.
	PullRoleARN string
	// Readers are additional principals that pull.
	Readers []string
}

// Repository returns the policy of a project's repository. The policy only denies: the identities' own policies
// allow. (A resource policy that allowed a session's ARN would bypass that session's policy.)
//
// The account's root may change the settings too. Otherwise, if the controller's role were lost, the repository could
// never be configured or removed.
func Repository(access RepositoryAccess) string {
	readers := slices.Concat([]string{access.ControllerARN}, access.Readers)
	slices.Sort(readers[1:])
	root := fmt.Sprintf("arn:%s:iam::%s:root", access.Partition, access.AccountID)
	ourTags := notARN(access.ControllerARN, root)
	ourTags["ForAnyValue:StringLike"] = map[string]any{"aws:TagKeys": []string{"imagecache.dev/*", ProjectTag}}
	statements := []statement{
		deny("PublishOnlyByController", publishActions, notARN(access.ControllerARN)),
		deny("ConfigureOnlyByController", settingActions, notARN(access.ControllerARN, root)),
		// The account's own tools may set tags of their own.
		deny("OwnTagsOnlyByController", tagActions, ourTags),
	}
	if access.PullRoleARN == "" {
		statements = append(statements, deny("PullOnlyByReaders", readActions, notARN(readers...)))
		return render(statements...)
	}
	statements = append(statements,
		deny("PullOnlyByReadersAndProject", readActions, notARN(append(readers, access.PullRoleARN)...)),
		deny("PullOnlyOwnProject", readActions, conditions{
			"ArnEquals":       {"aws:PrincipalArn": access.PullRoleARN},
			"StringNotEquals": {"aws:PrincipalTag/" + ProjectTag: access.ProjectID},
		}))
	return render(statements...)
}

func notARN(arns ...string) conditions {
	if len(arns) == 1 {
		return conditions{"ArnNotEquals": {"aws:PrincipalArn": arns[0]}}
	}
	return conditions{"ArnNotEquals": {"aws:PrincipalArn": arns}}
}
