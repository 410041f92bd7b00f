package sessionpolicy

import "time"

var (
	pullActions = []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
	// pushActions upload blobs and nothing else: no manifest, no tag. Publishing is the controller's alone.
	pushActions  = []string{"ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"}
	tokenActions = []string{"ecr:GetAuthorizationToken"}
)

// Pull is the session policy of pull credentials: one repository, until the deadline.
func Pull(repositoryARN string, deadline time.Time) string {
	return session(pullActions, repositoryARN, deadline)
}

// Push is the session policy of upload credentials: blobs of one repository, until the deadline.
func Push(repositoryARN string, deadline time.Time) string {
	return session(pushActions, repositoryARN, deadline)
}

func session(actions []string, repositoryARN string, deadline time.Time) string {
	until := conditions{"DateLessThan": {"aws:CurrentTime": currentTime(deadline)}}
	return render(
		allow("", actions, repositoryARN, until),
		// GetAuthorizationToken knows no other resource than *.
		allow("", tokenActions, "*", until),
	)
}

// Nothing is the session policy of a session that may do nothing: it is there to see whether a role can be assumed.
func Nothing() string {
	return render(statement{Effect: "Deny", Action: []string{"*"}, Resource: "*"})
}
