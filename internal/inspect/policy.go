package inspect

import (
	"context"
	"fmt"
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
	ctx context.Context, clients *aws.Clients, caller aws.Identity, runner *v1alpha1.RunnerImageCache, repository string,
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
	settings := settingsPolicy{
		controller: runner.Status.ControllerARN, caller: caller.PrincipalARN,
		root: fmt.Sprintf("arn:%s:iam::%s:root", caller.Partition, caller.AccountID),
	}
	settings.arns, settings.by = sessionpolicy.Configurators(text)
	f.list = append(f.list, settings.judge(rescue))
}

// settingsPolicy is whom a repository's policy lets change the repository's settings, and who is interested.
type settingsPolicy struct {
	// controller is the role that the runner's status names, caller is the user's own, and root is the account's root
	// user, all as ARNs.
	controller, caller, root string

	arns []string
	by   sessionpolicy.Configuring
}

// rescue is who can set a repository's policy if the controller's role is lost.
type rescue int

const (
	rescueUnknown rescue = iota
	rescueByRoot
	rescueByNobody
)

// judge decides about the principals that the policy lists. The status names the controller's old role until the
// manager starts with a new one, so the finding also tells whether the user's own role is listed.
func (s settingsPolicy) judge(rescue rescue) Finding {
	finding := func(result Result, text, advice string) Finding {
		return Finding{Area: areaAWS, Check: "repository policy", Result: result, Message: text, Advice: advice}
	}
	others := slices.DeleteFunc(slices.Clone(s.arns), func(arn string) bool {
		return arn == s.controller || arn == s.root
	})
	listed := strings.Join(s.arns, ", ") + " may change the repository's settings" + s.aboutCaller()
	if len(s.arns) == 0 {
		listed = "nobody may change the repository's settings"
	}
	switch {
	case s.by == sessionpolicy.ByUnknown:
		return finding(ResultWarning, "the repository's policy is not one that the controller writes, so who may change the settings is unknown",
			"the controller sets its policy by itself; if it does not, look at the project's condition RepositoryPolicyReady")
	case s.by == sessionpolicy.ByAnybody:
		return finding(ResultFailed, "everybody whom IAM allows may change the repository's settings",
			"the controller sets its policy by itself; if it does not, look at the project's condition RepositoryPolicyReady")
	case s.controller == "":
		return finding(ResultSkipped, "the runner's status does not name the controller's role yet; "+listed, "")
	case !slices.Contains(s.arns, s.controller):
		return finding(ResultFailed, "the policy shuts the controller, "+s.controller+", out: "+listed,
			"set the policy as one of those, or remove it as the account's root user: "+changingTheRole)
	case len(others) > 0:
		return finding(ResultWarning, "others than the controller may change settings: "+listed,
			"if no change of the controller's role is under way, start the manager: it sets its own policy again within a day")
	case rescue == rescueByNobody:
		return finding(ResultWarning,
			"the account's root user has no credentials, so nobody can change the settings if "+s.controller+" is lost: "+listed,
			"before you change the controller's role, let the old role name both ARNs: "+changingTheRole)
	case rescue == rescueByRoot:
		return finding(ResultOK, "only "+listed, "")
	}
	return finding(ResultOK, "only "+listed+"; whether the account's root user has credentials is unknown", "")
}

// aboutCaller tells whether the policy lists the user's own role, which may be the one that the controller gets next.
func (s settingsPolicy) aboutCaller() string {
	switch {
	case s.caller == s.controller || s.caller == "":
		return ""
	case slices.Contains(s.arns, s.caller):
		return ", and " + s.caller + ", whose credentials you use, is one of them"
	}
	return ", and " + s.caller + ", whose credentials you use, is none of them"
}
