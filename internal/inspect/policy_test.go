package inspect

import (
	"strings"
	"testing"
)

func TestRepositoryPolicyLetsOnlyTheControllerConfigure(t *testing.T) {
	const controller, other, root = "arn:aws:iam::1:role/new", "arn:aws:iam::1:role/old", "arn:aws:iam::1:root"
	for name, test := range map[string]struct {
		controller string
		arns       []string
		restricted bool
		rescue     rescue
		result     Result
		text       string
	}{
		"as it should be":              {controller, []string{controller, root}, true, rescueByRoot, ResultOK, "only the controller and the account's root user"},
		"root can't be looked up":      {controller, []string{controller, root}, true, rescueUnknown, ResultOK, "if it has credentials"},
		"an account without root":      {controller, []string{controller, root}, true, rescueByNobody, ResultWarning, "nobody can change"},
		"both roles, before a change":  {controller, []string{controller, other, root}, true, rescueByNobody, ResultWarning, "besides the controller, " + other},
		"the old role alone":           {controller, []string{other, root}, true, rescueByRoot, ResultFailed, "shuts the controller out"},
		"no policy":                    {controller, nil, false, rescueByRoot, ResultFailed, "everybody whom IAM allows"},
		"a runner that was never seen": {"", []string{controller, root}, true, rescueByRoot, ResultSkipped, "does not name"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judgePolicy(test.controller, test.arns, test.restricted, test.rescue)
			if got.Result != test.result || !strings.Contains(got.Message, test.text) {
				t.Errorf("judgePolicy = %s: %s; want %s: …%s…", got.Result, got.Message, test.result, test.text)
			}
			if wants := test.result == ResultFailed || test.result == ResultWarning; wants != (got.Advice != "") {
				t.Errorf("advice %q", got.Advice)
			}
		})
	}
}
