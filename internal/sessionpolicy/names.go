package sessionpolicy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// ProjectTag is the key of the session tag that names the session's project, and of the tag that names a repository's
// project. The policies of roles and repositories compare the two.
const ProjectTag = "imagecache-project"

// RepositoryName returns the name of a project's repository.
func RepositoryName(runnerID, projectID string) string {
	return "gitpod-runner-" + runnerID + "/projects/" + projectID + "/image-build"
}

// RepositoryARN returns the ARN of a repository.
func RepositoryARN(partition, region, accountID, repository string) string {
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", partition, region, accountID, repository)
}

// maxRoleName is IAM's limit: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxRoleName = 64

// Purpose is what a role and its sessions are for.
type Purpose string

// Purposes.
const (
	PurposePull Purpose = "pull"
	PurposePush Purpose = "push"
)

// RoleName returns the name of a runner's managed role. Role names are global to an account, so the region is part of
// the name. A name that would be too long ends in a hash of the whole name.
func RoleName(runnerID, region string, purpose Purpose) string {
	name := fmt.Sprintf("imagecache-%s-%s-%s", runnerID, region, purpose)
	if len(name) <= maxRoleName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := fmt.Sprintf("-%s-%s", hex.EncodeToString(sum[:4]), purpose)
	return name[:maxRoleName-len(tail)] + tail
}

// InspectorRoleARN returns the ARN of Amazon Inspector's service-linked role, which is the same in every partition but
// for that: https://docs.aws.amazon.com/inspector/latest/user/using-service-linked-roles.html
func InspectorRoleARN(partition, accountID string) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/aws-service-role/%s/AWSServiceRoleForAmazonInspector2",
		partition, accountID, inspectorPrincipal)
}

const inspectorPrincipal = "inspector2.amazonaws.com"

// RoleARN returns the ARN of a managed role.
func RoleARN(partition, accountID, name string) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", partition, accountID, name)
}
