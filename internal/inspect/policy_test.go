package inspect

import (
	"strings"
	"testing"

	"imagecache.dev/internal/sessionpolicy"
)

func TestRepositoryPolicyLetsOnlyTheControllerConfigure(t *testing.T) {
	const controller, other, root = "arn:aws:iam::1:role/new", "arn:aws:iam::1:role/old", "arn:aws:iam::1:root"
	by := sessionpolicy.ByListed
	for name, test := range map[string]struct {
		caller   string
		settings settingsPolicy
		rescue   rescue
		result   Result
		text     string
	}{
		"as it should be":              {"", settingsPolicy{controller: controller, arns: []string{controller, root}, by: by}, rescueByRoot, ResultOK, "only " + controller + ", " + root + " may"},
		"root can't be looked up":      {"", settingsPolicy{controller: controller, arns: []string{controller, root}, by: by}, rescueUnknown, ResultOK, "has credentials is unknown"},
		"an account without root":      {"", settingsPolicy{controller: controller, arns: []string{controller, root}, by: by}, rescueByNobody, ResultWarning, "nobody can change"},
		"both roles, before a change":  {other, settingsPolicy{controller: controller, arns: []string{controller, other, root}, by: by}, rescueByNobody, ResultWarning, other + ", whose credentials you use, is one"},
		"the new role was forgotten":   {other, settingsPolicy{controller: controller, arns: []string{controller, root}, by: by}, rescueByRoot, ResultOK, other + ", whose credentials you use, is none"},
		"another account's root":       {"", settingsPolicy{controller: controller, arns: []string{controller, "arn:aws:iam::2:root"}, by: by}, rescueByRoot, ResultWarning, "others than the controller"},
		"the old role alone":           {"", settingsPolicy{controller: controller, arns: []string{other, root}, by: by}, rescueByRoot, ResultFailed, "shuts the controller"},
		"nobody":                       {"", settingsPolicy{controller: controller, by: by}, rescueByRoot, ResultFailed, "nobody may change"},
		"no policy":                    {"", settingsPolicy{controller: controller, by: sessionpolicy.ByAnybody}, rescueByRoot, ResultFailed, "everybody whom IAM allows"},
		"a policy of somebody":         {"", settingsPolicy{controller: controller}, rescueByRoot, ResultWarning, "is unknown"},
		"a runner that was never seen": {"", settingsPolicy{arns: []string{controller, root}, by: by}, rescueByRoot, ResultSkipped, "does not name"},
	} {
		t.Run(name, func(t *testing.T) {
			test.settings.caller, test.settings.root = test.caller, root
			got := test.settings.judge(test.rescue)
			if got.Result != test.result || !strings.Contains(got.Message, test.text) {
				t.Errorf("judge = %s: %s; want %s: …%s…", got.Result, got.Message, test.result, test.text)
			}
			if wants := test.result == ResultFailed || test.result == ResultWarning; wants != (got.Advice != "") {
				t.Errorf("advice %q", got.Advice)
			}
		})
	}
}
