package controllers

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
)

// lasting are credentials with so much of their life left.
func lasting(left time.Duration) *v1alpha1.CredentialReference {
	return &v1alpha1.CredentialReference{SecretName: "p1-pull", ExpiresAt: metav1.NewTime(noon.Add(left))}
}

func TestPlanPull(t *testing.T) {
	for name, test := range map[string]struct {
		in   pullInput
		want pullAction
	}{
		"nobody asks":                    {pullInput{}, pullKeep},
		"the first asks":                 {pullInput{asked: true}, pullGrant},
		"the first asks, switched off":   {pullInput{asked: true, disabled: true}, pullKeep},
		"new":                            {pullInput{asked: true, current: lasting(time.Hour)}, pullKeep},
		"after 59 % of its life":         {pullInput{asked: true, current: lasting(25 * time.Minute)}, pullKeep},
		"after 71 % of its life":         {pullInput{asked: true, current: lasting(17 * time.Minute)}, pullGrant},
		"old, nobody asks":               {pullInput{current: lasting(time.Minute)}, pullKeep},
		"run out, nobody asks":           {pullInput{current: lasting(0)}, pullRemove},
		"run out, somebody asks":         {pullInput{asked: true, current: lasting(-time.Hour)}, pullGrant},
		"new, switched off":              {pullInput{asked: true, disabled: true, current: lasting(time.Hour)}, pullRemove},
		"new, its Secret was removed":    {pullInput{asked: true, lost: true, current: lasting(time.Hour)}, pullGrant},
		"not asked for, Secret removed":  {pullInput{lost: true, current: lasting(time.Hour)}, pullKeep},
		"switched off, run out, ignored": {pullInput{disabled: true, current: lasting(-time.Hour)}, pullRemove},
	} {
		t.Run(name, func(t *testing.T) {
			test.in.now, test.in.uid = noon, "uid-1"
			action, next := planPull(test.in)
			if action != test.want {
				t.Errorf("planPull = %s, want %s", action, test.want)
			}
			if action == pullKeep && test.in.current != nil && next <= 0 {
				t.Errorf("credentials are kept and not looked at again (%s)", next)
			}
		})
	}
}

func TestCredentialsAreReplacedBetweenSixtyAndSeventyPercent(t *testing.T) {
	seen := map[time.Time]bool{}
	for _, uid := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		at := refreshAt(metav1.NewTime(noon.Add(pullDuration)), types.UID(uid))
		if share := at.Sub(noon).Seconds() / pullDuration.Seconds(); share < 0.6 || share > 0.7 {
			t.Errorf("replaced after %.0f %% of their life", 100*share)
		}
		seen[at] = true
	}
	if len(seen) < 6 {
		t.Errorf("8 projects are refreshed at %d different times", len(seen))
	}
}

func TestPullAsked(t *testing.T) {
	ref := &v1alpha1.ProjectReference{Name: "p1"}
	finished := metav1.NewTime(noon.Add(-time.Hour))
	request := func(created time.Duration, change func(*v1alpha1.DevcontainerImage)) []v1alpha1.DevcontainerImage {
		r := v1alpha1.DevcontainerImage{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon.Add(-created))},
			Spec:       v1alpha1.DevcontainerImageSpec{ProjectRef: ref},
		}
		if change != nil {
			change(&r)
		}
		return []v1alpha1.DevcontainerImage{r}
	}
	end := func(r *v1alpha1.DevcontainerImage) { r.Status.FinishedAt = &finished }
	for name, test := range map[string]struct {
		requests []v1alpha1.DevcontainerImage
		at       string
		want     bool
	}{
		"no request":                  {nil, "", false},
		"one at work":                 {request(48*time.Hour, nil), "", true},
		"one of today":                {request(time.Hour, end), "", true},
		"one of the day before":       {request(25*time.Hour, end), "", false},
		"a Compose configuration":     {request(0, func(r *v1alpha1.DevcontainerImage) { r.Spec.ConfigurationType = v1alpha1.ConfigurationCompose }), "", false},
		"bypassed":                    {request(0, func(r *v1alpha1.DevcontainerImage) { r.Status.CacheResult = v1alpha1.CacheBypassed }), "", false},
		"a running environment asked": {nil, noon.Add(-time.Hour).Format(time.RFC3339), true},
		"it asked long ago":           {nil, noon.Add(-25 * time.Hour).Format(time.RFC3339), false},
		"an annotation without time":  {nil, "yes", false},
	} {
		t.Run(name, func(t *testing.T) {
			project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationPullRequestedAt: test.at}}}
			if got := pullAsked(project, test.requests, noon); got != test.want {
				t.Errorf("pullAsked = %v, want %v", got, test.want)
			}
		})
	}
}

func TestPullCondition(t *testing.T) {
	failure := errors.New("no")
	for name, test := range map[string]struct {
		facts pullFacts
		want  string
	}{
		"nobody asks":        {pullFacts{action: pullKeep}, ""},
		"granted":            {pullFacts{action: pullGrant, current: lasting(time.Hour)}, "True/Succeeded"},
		"never granted":      {pullFacts{action: pullGrant, err: failure}, "False/AWSError"},
		"not replaced":       {pullFacts{action: pullGrant, current: lasting(time.Minute), err: failure}, "False/RefreshFailed"},
		"run out":            {pullFacts{action: pullGrant, current: lasting(-time.Minute), err: failure}, "False/CredentialsExpired"},
		"switched off":       {pullFacts{action: pullRemove, disabled: true}, "False/Disabled"},
		"removed, as unused": {pullFacts{action: pullRemove}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.facts.now = noon
			got := ""
			if condition := pullCondition(1, test.facts); condition != nil {
				got = string(condition.Status) + "/" + condition.Reason
			}
			if got != test.want {
				t.Errorf("pullCondition = %q, want %q", got, test.want)
			}
		})
	}
}
