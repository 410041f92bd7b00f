package inspect

import (
	"context"
	"slices"
	"strings"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/iam"
	"imagecache.dev/internal/sessionpolicy"
)

// changingTheRole is where the documentation tells how the controller gets another role.
const changingTheRole = `docs/upgrading.md, "Changing the controller's role"`

// policy checks who may change the repository's settings, and whether somebody still can if the controller's role is
// lost.
func (f *findings) policy(
	ctx context.Context, clients *aws.Clients, runner *v1alpha1.RunnerImageCache, repository string,
) {
	text, err := ecr.NewRepositories(clients).Policy(ctx, repository)
	if err != nil {
		f.awsError("repository policy", err)
		return
	}
	root, err := iam.RootHasCredentials(ctx, clients)
	rescue := rescueUnknown
	switch {
	case err == nil && root:
		rescue = rescueByRoot
	case err == nil:
		rescue = rescueByNobody
	}
	arns, restricted := sessionpolicy.Configurators(text)
	f.list = append(f.list, judgePolicy(runner.Status.ControllerARN, arns, restricted, rescue))
}

// rescue is who can set a repository's policy if the controller's role is lost.
type rescue int

const (
	rescueUnknown rescue = iota
	rescueByRoot
	rescueByNobody
)

// judgePolicy decides about the principals that a repository's policy lets change the repository's settings.
func judgePolicy(controller string, arns []string, restricted bool, rescue rescue) Finding {
	finding := func(result Result, text, advice string) Finding {
		return Finding{Area: areaAWS, Check: "repository policy", Result: result, Message: text, Advice: advice}
	}
	others := slices.DeleteFunc(slices.Clone(arns), func(arn string) bool {
		return arn == controller || strings.HasSuffix(arn, ":root")
	})
	switch {
	case !restricted:
		return finding(ResultFailed, "everybody whom IAM allows may change the repository's settings",
			"the controller sets its policy by itself; if it does not, look at the project's condition RepositoryPolicyReady")
	case controller == "":
		return finding(ResultSkipped, "the runner's status does not name the controller's role yet", "")
	case !slices.Contains(arns, controller):
		return finding(ResultFailed,
			"the policy shuts the controller out: "+controller+" may not change the repository's settings, but "+
				strings.Join(arns, ", "),
			"set the policy as one of those, or remove it as the account's root user: "+changingTheRole)
	case len(others) > 0:
		return finding(ResultWarning,
			"besides the controller, "+strings.Join(others, ", ")+" may change the repository's settings",
			"if no change of the controller's role is under way, start the manager: it sets its own policy again within a day")
	case rescue == rescueByNobody:
		return finding(ResultWarning,
			"the account's root user has no credentials, so nobody can change the repository's settings if "+controller+
				" is lost",
			"before you change the controller's role, let the old role name both ARNs: "+changingTheRole)
	case rescue == rescueByRoot:
		return finding(ResultOK, "only the controller and the account's root user may change the repository's settings", "")
	}
	return finding(ResultOK,
		"only the controller may change the repository's settings, and the account's root user, if it has credentials", "")
}
