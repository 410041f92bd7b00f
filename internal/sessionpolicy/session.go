package sessionpolicy

import "time"

var (
	pullActions = []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
	// pushActions upload only blobs: no manifest, no tag. Only the controller publishes.
	pushActions = []string{
		"ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
	}
	tokenActions = []string{"ecr:GetAuthorizationToken"}
)

// Pull returns the session policy of pull credentials: one repository, until the deadline.
func Pull(repositoryARN string, deadline time.Time) string {
	return session(pullActions, repositoryARN, deadline)
}

// Push returns the session policy of upload credentials: blobs of one repository, until the deadline.
func Push(repositoryARN string, deadline time.Time) string {
	return session(pushActions, repositoryARN, deadline)
}

func session(actions []string, repositoryARN string, deadline time.Time) string {
	until := conditions{"DateLessThan": {"aws:CurrentTime": currentTime(deadline)}}
	return render(
		allow("", actions, repositoryARN, until),
		// GetAuthorizationToken supports only the resource *.
		allow("", tokenActions, "*", until),
	)
}

// Nothing returns a session policy without rights. It is used to check whether a role can be assumed.
func Nothing() string {
	return render(statement{Effect: "Deny", Action: []string{"*"}, Resource: "*"})
}
