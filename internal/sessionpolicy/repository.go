package sessionpolicy

import (
	"fmt"
	"slices"
)

var (
	publishActions = []string{"ecr:BatchDeleteImage", "ecr:PutImage", "ecr:UpdateImageStorageClass"}
	// Deletion is a setting, because whoever could delete and make the repository again would have one without this
	// policy.
	settingActions = []string{
		"ecr:DeleteLifecyclePolicy", "ecr:DeleteRepository", "ecr:DeleteRepositoryPolicy", "ecr:PutImageTagMutability",
		"ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy",
	}
	tagActions  = []string{"ecr:TagResource", "ecr:UntagResource"}
	readActions = []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
)

// RepositoryAccess is who may do what with one project's repository.
type RepositoryAccess struct {
	Partition string
	AccountID string
	// ControllerARN publishes, deletes and configures.
	ControllerARN string
	// ProjectID is what sessions of the project are tagged with.
	ProjectID string
	// PullRoleARN is the role whose sessions, of this project, pull. Empty: none does, as when the cache is switched off.
	PullRoleARN string
	// Readers are further principals that pull.
	Readers []string
}

// Repository is the policy of a project's repository. It only denies: what is allowed, the identities' own policies
// say. (A resource policy that allowed a session's ARN would bypass that session's policy.)
//
// The account's root may change the settings too. Without it, a controller whose role was lost could leave a repository
// that nobody can ever configure or remove.
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
