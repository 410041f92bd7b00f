package awstarget

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/test/fixture"
)

func TestAllowedRoles(t *testing.T) {
	allowed, err := ParseAllowedRoles([]string{"a=arn:aws:iam::1:role/x", "*=arn:aws:iam::1:role/all", "a=arn:aws:iam::1:role/y"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := AllowedRoles(allowed, "a"), AllowedRoles(allowed, "b"); len(a) != 3 || len(b) != 1 {
		t.Errorf("namespace a may use %v and b %v; want three and the one for all", a, b)
	}
	for _, bad := range []string{"a", "=arn:aws:iam::1:role/x", "a=role"} {
		if _, err := ParseAllowedRoles([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestProjectRefusal(t *testing.T) {
	const allowed, forbidden = "arn:aws:iam::123456789012:role/mine", "arn:aws:iam::123456789012:role/theirs"
	ready := metav1.Condition{Type: v1alpha1.ConditionAccountReady, Status: metav1.ConditionTrue}
	stalled := func(reason string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason}
	}
	made := func(repository bool) *v1alpha1.ProjectImageCache {
		project := &v1alpha1.ProjectImageCache{}
		if repository {
			project.Status.Repository = &v1alpha1.RepositoryStatus{Name: "gitpod-runner-r1/projects/p1/image-build"}
		}
		return project
	}
	for name, test := range map[string]struct {
		conditions   []metav1.Condition
		project      *v1alpha1.ProjectImageCache
		want         string
		wantTerminal bool
		provider     v1alpha1.Provider
		role         string
	}{
		"a runner that is ready":                    {[]metav1.Condition{ready}, made(false), "", false, "", ""},
		"a runner that reaches no account":          {nil, made(true), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"an old stack, nothing made yet":            {[]metav1.Condition{ready, stalled(v1alpha1.ReasonStackOutdated)}, made(false), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"an old stack, made long ago":               {[]metav1.Condition{ready, stalled(v1alpha1.ReasonStackOutdated)}, made(true), "", false, "", ""},
		"another's runner ID, made long ago":        {[]metav1.Condition{ready, stalled(v1alpha1.ReasonRunnerIDInUse)}, made(true), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"a change that was not looked at":           {nil, made(true), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"another account, made long ago":            {[]metav1.Condition{ready, stalled(v1alpha1.ReasonAccountMismatch)}, made(true), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"a role that its namespace may use":         {[]metav1.Condition{ready}, made(true), "", false, "", allowed},
		"a role that it may not use any more":       {[]metav1.Condition{ready}, made(true), v1alpha1.ReasonWaitingForRunner, false, "", forbidden},
		"a runner of another provider, even if old": {[]metav1.Condition{ready}, made(true), v1alpha1.ReasonUnsupportedProvider, true, v1alpha1.ProviderLinux, ""},
	} {
		t.Run(name, func(t *testing.T) {
			runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) {
				r.Status.Conditions = test.conditions
				if name == "a change that was not looked at" {
					r.Status.Conditions, r.Generation = []metav1.Condition{ready}, 2
				}
				r.Spec.AssumeRoleARN = test.role
				if test.provider != "" {
					r.Spec.Provider = test.provider
				}
			})
			err := outcome.First(targetRefusal(runner, []string{allowed}), ProjectRefusal(test.project, runner))
			got := ""
			if err != nil {
				got, _ = outcome.Reason(err)
			}
			if got != test.want || outcome.IsTerminal(err) != test.wantTerminal {
				t.Errorf("refused for %q (%v), want %q, terminal %v", got, err, test.want, test.wantTerminal)
			}
		})
	}
}
