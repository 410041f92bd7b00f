package runnerimagecache

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
	"imagecache.dev/internal/iam"
	"imagecache.dev/test/fixture"
)

func TestRunnerRefusal(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/other"
	older := func(uid types.UID, by time.Duration) v1alpha1.RunnerImageCache {
		return v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{UID: uid, CreationTimestamp: metav1.NewTime(fixture.Noon.Add(-by))}}
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
			runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.UID, r.CreationTimestamp = "m", metav1.NewTime(fixture.Noon) })
			if test.change != nil {
				test.change(runner)
			}
			got := ""
			if err := runnerRefusal(runner, test.sameID, test.allowed); err != nil {
				got, _ = outcome.Reason(err)
			}
			if got != test.want {
				t.Errorf("refused for %q, want %q", got, test.want)
			}
		})
	}
}

func TestStackVersions(t *testing.T) {
	for version, outdated := range map[string]bool{"": true, "0": true, "0.9": true, "1": false, "v1": false, "1.4": false, "12": false, "new": true} {
		err := stackProblem("runner-stack", &cloudformation.Stack{Version: version})
		if (err != nil) != outdated {
			t.Errorf("version %q: %v; outdated %v is wanted", version, err, outdated)
		}
		if reason, _ := outcome.Reason(err); err != nil && reason != v1alpha1.ReasonStackOutdated {
			t.Errorf("version %q: reason %s", version, reason)
		}
	}
}

func TestRunnerStatusKeepsTheTimeOfTagsThatDidNotChange(t *testing.T) {
	runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.StackName = "runner-stack" })
	readAt := metav1.NewTime(fixture.Noon)
	runner.Status.StackTagsReadAt = &readAt
	identity := &aws.Identity{AccountID: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:role/controller", Partition: "aws"}
	facts := func(tags map[string]string) *runnerFacts {
		return &runnerFacts{now: fixture.Noon.Add(time.Hour), identity: identity, stack: &cloudformation.Stack{Tags: tags, Version: "1"}}
	}
	same := runnerStatus(runner, facts(map[string]string{"team": "core"}))
	if !same.StackTagsReadAt.Equal(&readAt) {
		t.Errorf("the same tags read again changed the time to %s: a status write for every reading", same.StackTagsReadAt)
	}
	other := runnerStatus(runner, facts(map[string]string{"team": "edge"}))
	if !other.StackTagsReadAt.After(fixture.Noon) || awstag.Value(other.StackTags[0].Value) != "edge" {
		t.Errorf("other tags are shown as %v of %s", other.StackTags, other.StackTagsReadAt)
	}
	failed := runnerStatus(runner, &runnerFacts{now: fixture.Noon, identity: identity, stackErr: errors.New("no answer")})
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
		"just now":           {visit{generation: 1, at: fixture.Noon.Add(-time.Second)}, false},
		"an interval ago":    {visit{generation: 1, at: fixture.Noon.Add(-time.Minute)}, true},
		"of an older spec":   {visit{generation: 0, at: fixture.Noon.Add(-time.Second)}, true},
		"failed just now":    {visit{generation: 1, at: fixture.Noon.Add(-time.Second), err: errors.New("no")}, false},
		"failed a while ago": {visit{generation: 1, at: fixture.Noon.Add(-3 * time.Second), err: errors.New("no")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.visit.due(1, fixture.Noon, time.Minute); got != test.want {
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
			runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.AccountID, r.Status.AccountID = test.named, test.known })
			if err := accountProblem(runner, aws.Identity{AccountID: here}); (err != nil) != test.wantProblem || outcome.IsTerminal(err) != test.wantProblem {
				t.Errorf("the problem is %v", err)
			}
		})
	}
}

func TestRoleFindingsSayWhatWasFound(t *testing.T) {
	const boundary, other = "arn:aws:iam::123456789012:policy/b", "arn:aws:iam::123456789012:policy/other"
	desired := iam.Role{Trust: `{"a":1}`, Policy: `{"b":1}`, BoundaryARN: boundary, Tags: map[string]string{"team": "core"}}
	for name, test := range map[string]struct {
		change func(*iam.Role)
		want   []drift.Finding
	}{
		"as it should be":  {func(*iam.Role) {}, nil},
		"the trust policy": {func(r *iam.Role) { r.Trust = `{}` }, []drift.Finding{{Action: actionSetTrustPolicy, Text: "the trust policy was changed"}}},
		"no inline policy": {func(r *iam.Role) { r.Policy = "" }, []drift.Finding{{Action: actionPutRolePolicy, Text: "the inline policy was removed"}}},
		"no boundary":      {func(r *iam.Role) { r.BoundaryARN = "" }, []drift.Finding{{Action: actionSetBoundary, Text: "it had no permissions boundary"}}},
		"another boundary": {func(r *iam.Role) { r.BoundaryARN = other }, []drift.Finding{{Action: actionSetBoundary, Text: "its permissions boundary was " + other}}},
		"tags, of two kinds": {func(r *iam.Role) { r.Tags = map[string]string{"stray": "1"} }, []drift.Finding{
			{Action: drift.ActionSetTags, Text: "tags were missing or had other values: team"}, {Action: drift.ActionRemoveTags, Text: "tags existed that are no longer wanted: stray"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := desired
			test.change(&seen)
			desired.Former = []string{"stray"}
			if diff := cmp.Diff(test.want, roleFindings(iam.PlanRole(desired, &seen), &seen), cmp.AllowUnexported(drift.Finding{})); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
