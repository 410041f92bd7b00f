package sessionpolicy

import "fmt"

// PullRole returns the inline policy of a runner's pull role. The session's tag names the repository, so that one
// role serves all projects of the runner.
func PullRole(partition, region, accountID, runnerID string) string {
	return role("Pull", pullActions, partition, region, accountID, runnerID)
}

// PushRole returns the inline policy of a runner's push role.
func PushRole(partition, region, accountID, runnerID string) string {
	return role("UploadLayers", pushActions, partition, region, accountID, runnerID)
}

func role(sid string, actions []string, partition, region, accountID, runnerID string) string {
	project := fmt.Sprintf("${aws:PrincipalTag/%s}", ProjectTag)
	return render(
		allow(sid, actions,
			RepositoryARN(partition, region, accountID, RepositoryName(runnerID, project)),
			conditions{"StringEquals": {"aws:ResourceTag/" + ProjectTag: project}}),
		allow("LogIn", tokenActions, "*", nil),
	)
}

// Trust returns the trust policy of a role. It allows only the controller to assume the role, and only with a session
// tag that names a project. The policy names the account's root, narrowed by a condition: a role that is created
// again keeps its ARN and loses its identity, so a policy that named the role directly would then trust nobody.
func Trust(controllerARN, accountID, partition string) string {
	return render(statement{
		Sid: "Controller", Effect: "Allow",
		Principal: map[string]string{"AWS": fmt.Sprintf("arn:%s:iam::%s:root", partition, accountID)},
		Action:    []string{"sts:AssumeRole", "sts:TagSession"},
		Condition: conditions{
			"ArnEquals":  {"aws:PrincipalArn": controllerARN},
			"StringLike": {"aws:RequestTag/" + ProjectTag: "?*"},
		},
	})
}
