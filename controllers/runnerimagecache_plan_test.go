package controllers

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
	"imagecache.dev/internal/iam"
)

func TestRunnerRefusal(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/other"
	older := func(uid types.UID, by time.Duration) v1alpha1.RunnerImageCache {
		return v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{UID: uid, CreationTimestamp: metav1.NewTime(noon.Add(-by))}}
	}
	for name, test := range map[string]struct {
		change  func(*v1alpha1.RunnerImageCache)
		sameID  []v1alpha1.RunnerImageCache
		allowed []string
		want    string
	}{
		"in order":                       {nil, nil, nil, ""},
		"itself among those of its ID":   {nil, []v1alpha1.RunnerImageCache{older("m", 0)}, nil, ""},
		"one was first":                  {nil, []v1alpha1.RunnerImageCache{older("z", time.Second)}, nil, v1alpha1.ReasonRunnerIDInUse},
		"one came later":                 {nil, []v1alpha1.RunnerImageCache{older("a", -time.Second)}, nil, ""},
		"in the same second, by UID":     {nil, []v1alpha1.RunnerImageCache{older("a", 0)}, nil, v1alpha1.ReasonRunnerIDInUse},
		"another provider":               {func(r *v1alpha1.RunnerImageCache) { r.Spec.Provider = v1alpha1.ProviderGCP }, nil, nil, v1alpha1.ReasonUnsupportedProvider},
		"a role that may not be used":    {func(r *v1alpha1.RunnerImageCache) { r.Spec.AssumeRoleARN = role }, nil, []string{role + "2"}, v1alpha1.ReasonAssumeRoleNotAllowed},
		"a role that may be used":        {func(r *v1alpha1.RunnerImageCache) { r.Spec.AssumeRoleARN = role }, nil, []string{role}, ""},
		"a role where nothing is spoken": {func(r *v1alpha1.RunnerImageCache) { r.Spec.AssumeRoleARN = role }, nil, nil, v1alpha1.ReasonAssumeRoleNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			runner := testRunner(func(r *v1alpha1.RunnerImageCache) { r.UID, r.CreationTimestamp = "m", metav1.NewTime(noon) })
			if test.change != nil {
				test.change(runner)
			}
			got := ""
			if err := runnerRefusal(runner, test.sameID, test.allowed); err != nil {
				got, _ = reasonOf(err)
			}
			if got != test.want {
				t.Errorf("refused for %q, want %q", got, test.want)
			}
		})
	}
}

func TestAllowedRoles(t *testing.T) {
	allowed, err := ParseAllowedRoles([]string{"a=arn:aws:iam::1:role/x", "*=arn:aws:iam::1:role/all", "a=arn:aws:iam::1:role/y"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := allowedRoles(allowed, "a"), allowedRoles(allowed, "b"); len(a) != 3 || len(b) != 1 {
		t.Errorf("namespace a may use %v and b %v; want three and the one for all", a, b)
	}
	for _, bad := range []string{"a", "=arn:aws:iam::1:role/x", "a=role"} {
		if _, err := ParseAllowedRoles([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestStackVersions(t *testing.T) {
	for version, outdated := range map[string]bool{"": true, "0": true, "0.9": true, "1": false, "v1": false, "1.4": false, "12": false, "new": true} {
		err := stackProblem("runner-stack", &cloudformation.Stack{Version: version})
		if (err != nil) != outdated {
			t.Errorf("version %q: %v; outdated %v is wanted", version, err, outdated)
		}
		if reason, _ := reasonOf(err); err != nil && reason != v1alpha1.ReasonStackOutdated {
			t.Errorf("version %q: reason %s", version, reason)
		}
	}
}

func TestRunnerStatusKeepsTheTimeOfTagsThatDidNotChange(t *testing.T) {
	runner := testRunner(func(r *v1alpha1.RunnerImageCache) { r.Spec.StackName = "runner-stack" })
	readAt := metav1.NewTime(noon)
	runner.Status.StackTagsReadAt = &readAt
	identity := &aws.Identity{AccountID: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:role/controller", Partition: "aws"}
	facts := func(tags map[string]string) *runnerFacts {
		return &runnerFacts{now: noon.Add(time.Hour), identity: identity, stack: &cloudformation.Stack{Tags: tags, Version: "1"}}
	}
	same := runnerStatus(runner, facts(map[string]string{"team": "core"}))
	if !same.StackTagsReadAt.Equal(&readAt) {
		t.Errorf("the same tags read again changed the time to %s: a status write for every reading", same.StackTagsReadAt)
	}
	other := runnerStatus(runner, facts(map[string]string{"team": "edge"}))
	if !other.StackTagsReadAt.After(noon) || valueOf(other.StackTags[0].Value) != "edge" {
		t.Errorf("other tags are shown as %v of %s", other.StackTags, other.StackTagsReadAt)
	}
	failed := runnerStatus(runner, &runnerFacts{now: noon, identity: identity, stackErr: errors.New("no answer")})
	if len(failed.StackTags) != 1 {
		t.Error("a stack that could not be read takes the tags away")
	}
}

func TestVisitsAreDue(t *testing.T) {
	for name, test := range map[string]struct {
		visit visit
		want  bool
	}{
		"never":              {visit{}, true},
		"just now":           {visit{generation: 1, at: noon.Add(-time.Second)}, false},
		"an interval ago":    {visit{generation: 1, at: noon.Add(-time.Minute)}, true},
		"of an older spec":   {visit{generation: 0, at: noon.Add(-time.Second)}, true},
		"failed just now":    {visit{generation: 1, at: noon.Add(-time.Second), err: errors.New("no")}, false},
		"failed a while ago": {visit{generation: 1, at: noon.Add(-3 * time.Second), err: errors.New("no")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.visit.due(1, noon, time.Minute); got != test.want {
				t.Errorf("due = %v, want %v", got, test.want)
			}
		})
	}
}

func TestAccountProblem(t *testing.T) {
	const here, there = "111111111111", "222222222222"
	for name, test := range map[string]struct {
		named, known string
		wantProblem  bool
	}{
		"reached for the first time":             {"", "", false},
		"the one that is named":                  {here, "", false},
		"another than is named":                  {there, "", true},
		"the one of before":                      {"", here, false},
		"another than before":                    {"", there, true},
		"another than before, which is named":    {here, there, false},
		"the one of before, and another's named": {there, here, true},
	} {
		t.Run(name, func(t *testing.T) {
			runner := testRunner(func(r *v1alpha1.RunnerImageCache) { r.Spec.AccountID, r.Status.AccountID = test.named, test.known })
			if err := accountProblem(runner, aws.Identity{AccountID: here}); (err != nil) != test.wantProblem || isStalled(err) != test.wantProblem {
				t.Errorf("the problem is %v", err)
			}
		})
	}
}

func TestProjectRefusal(t *testing.T) {
	const allowed, forbidden = "arn:aws:iam::123456789012:role/mine", "arn:aws:iam::123456789012:role/theirs"
	ready := metav1.Condition{Type: v1alpha1.ConditionAccountReady, Status: metav1.ConditionTrue}
	stalled := func(reason string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason}
	}
	for name, test := range map[string]struct {
		conditions   []metav1.Condition
		project      *v1alpha1.ProjectImageCache
		want         string
		wantTerminal bool
		provider     v1alpha1.Provider
		role         string
	}{
		"a runner that is ready":                    {[]metav1.Condition{ready}, testProject(neverMade), "", false, "", ""},
		"a runner that reaches no account":          {nil, testProject(), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"an old stack, nothing made yet":            {[]metav1.Condition{ready, stalled(v1alpha1.ReasonStackOutdated)}, testProject(neverMade), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"an old stack, made long ago":               {[]metav1.Condition{ready, stalled(v1alpha1.ReasonStackOutdated)}, testProject(), "", false, "", ""},
		"another's runner ID, made long ago":        {[]metav1.Condition{ready, stalled(v1alpha1.ReasonRunnerIDInUse)}, testProject(), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"a change that was not looked at":           {nil, testProject(), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"another account, made long ago":            {[]metav1.Condition{ready, stalled(v1alpha1.ReasonAccountMismatch)}, testProject(), v1alpha1.ReasonWaitingForRunner, false, "", ""},
		"a role that its namespace may use":         {[]metav1.Condition{ready}, testProject(), "", false, "", allowed},
		"a role that it may not use any more":       {[]metav1.Condition{ready}, testProject(), v1alpha1.ReasonWaitingForRunner, false, "", forbidden},
		"a runner of another provider, even if old": {[]metav1.Condition{ready}, testProject(), v1alpha1.ReasonUnsupportedProvider, true, v1alpha1.ProviderLinux, ""},
	} {
		t.Run(name, func(t *testing.T) {
			runner := testRunner(func(r *v1alpha1.RunnerImageCache) {
				r.Status.Conditions = test.conditions
				if name == "a change that was not looked at" {
					r.Status.Conditions, r.Generation = []metav1.Condition{ready}, 2
				}
				r.Spec.AssumeRoleARN = test.role
				if test.provider != "" {
					r.Spec.Provider = test.provider
				}
			})
			err := firstError(targetRefusal(runner, []string{allowed}), projectRefusal(test.project, runner))
			got := ""
			if err != nil {
				got, _ = reasonOf(err)
			}
			if got != test.want || isStalled(err) != test.wantTerminal {
				t.Errorf("refused for %q (%v), want %q, terminal %v", got, err, test.want, test.wantTerminal)
			}
		})
	}
}

func TestCountDue(t *testing.T) {
	at := func(before time.Duration) *metav1.Time { stamp := metav1.NewTime(noon.Add(-before)); return &stamp }
	published := func(before time.Duration) []v1alpha1.DevcontainerImage {
		return []v1alpha1.DevcontainerImage{{Status: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, FinishedAt: at(before), Image: &v1alpha1.CachedImage{}}}}
	}
	for name, test := range map[string]struct {
		known    *v1alpha1.ImageStatistics
		requests []v1alpha1.DevcontainerImage
		asked    bool
		wait     time.Duration
		wanted   bool
	}{
		"nothing published":               {nil, nil, true, 0, false},
		"the first image":                 {nil, published(time.Second), true, 0, true},
		"another, soon after a count":     {&v1alpha1.ImageStatistics{ReadAt: at(20 * time.Second)}, published(time.Second), true, 40 * time.Second, true},
		"another, long after a count":     {&v1alpha1.ImageStatistics{ReadAt: at(time.Hour)}, published(time.Second), true, 0, true},
		"counted since":                   {&v1alpha1.ImageStatistics{ReadAt: at(time.Second)}, published(time.Hour), true, 0, false},
		"the oldest has expired":          {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), true, 0, true},
		"the oldest has expired, unasked": {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), false, 0, false},
		"the oldest expired, and counted": {&v1alpha1.ImageStatistics{ReadAt: at(time.Minute / 2), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), true, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			project := testProject(func(p *v1alpha1.ProjectImageCache) {
				p.Status.Images = test.known
				if test.asked {
					p.Status.PullCredentials = &v1alpha1.CredentialReference{ExpiresAt: *at(-time.Hour)}
				}
			})
			wait, wanted := countDue(project, test.requests, noon, time.Minute)
			if wait != test.wait || wanted != test.wanted {
				t.Errorf("countDue = %s, %v; want %s, %v", wait, wanted, test.wait, test.wanted)
			}
		})
	}
}

func TestRoleFindingsSayWhatWasFound(t *testing.T) {
	const boundary, other = "arn:aws:iam::123456789012:policy/b", "arn:aws:iam::123456789012:policy/other"
	desired := iam.Role{Trust: `{"a":1}`, Policy: `{"b":1}`, BoundaryARN: boundary, Tags: map[string]string{"team": "core"}}
	for name, test := range map[string]struct {
		change func(*iam.Role)
		want   []finding
	}{
		"as it should be":  {func(*iam.Role) {}, nil},
		"the trust policy": {func(r *iam.Role) { r.Trust = `{}` }, []finding{{actionSetTrustPolicy, "the trust policy was changed"}}},
		"no inline policy": {func(r *iam.Role) { r.Policy = "" }, []finding{{actionPutRolePolicy, "the inline policy was removed"}}},
		"no boundary":      {func(r *iam.Role) { r.BoundaryARN = "" }, []finding{{actionSetBoundary, "it had no permissions boundary"}}},
		"another boundary": {func(r *iam.Role) { r.BoundaryARN = other }, []finding{{actionSetBoundary, "its permissions boundary was " + other}}},
		"tags, of two kinds": {func(r *iam.Role) { r.Tags = map[string]string{"stray": "1"} }, []finding{
			{actionSetTags, "tags were missing or other than wanted: team"}, {actionRemoveTags, "tags were there that are no longer wanted: stray"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := desired
			test.change(&seen)
			if diff := cmp.Diff(test.want, roleFindings(iam.PlanRole(desired, &seen), &seen), cmp.AllowUnexported(finding{})); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
