package pullcredentials

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/test/fixture"
)

func TestPlanPull(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	credentials := func(left time.Duration) *v1alpha1.CredentialReference {
		return &v1alpha1.CredentialReference{SecretName: "s", ExpiresAt: metav1.NewTime(now.Add(left))}
	}
	for name, test := range map[string]struct {
		in     pullInput
		action pullAction
		next   time.Duration
	}{
		"nobody asked":                       {pullInput{}, pullKeep, 0},
		"the first environment asks":         {pullInput{asked: true}, pullGrant, 0},
		"asked while switched off":           {pullInput{asked: true, disabled: true}, pullKeep, 0},
		"switched off":                       {pullInput{asked: true, disabled: true, current: credentials(time.Hour)}, pullRemove, 0},
		"too early":                          {pullInput{asked: true, current: credentials(25 * time.Minute)}, pullKeep, refreshAt(credentials(25*time.Minute).ExpiresAt, "u").Sub(now)},
		"due":                                {pullInput{asked: true, current: credentials(17 * time.Minute)}, pullGrant, 0},
		"run out":                            {pullInput{asked: true, current: credentials(-time.Minute)}, pullGrant, 0},
		"the Secret was removed":             {pullInput{asked: true, lost: true, current: credentials(time.Hour)}, pullGrant, 0},
		"nobody asks any more":               {pullInput{current: credentials(17 * time.Minute)}, pullKeep, 17 * time.Minute},
		"nobody asks, and they have run out": {pullInput{current: credentials(0)}, pullRemove, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.in.uid, test.in.now = "u", now
			action, next := planPull(test.in)
			if action != test.action || action == pullKeep && next != test.next {
				t.Errorf("%s, next in %s; want %s, %s", action, next, test.action, test.next)
			}
		})
	}
}

func TestRequestsAskForPullCredentials(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	request := func(kind v1alpha1.ConfigurationType, result v1alpha1.CacheResult, finished bool, age time.Duration) v1alpha1.DevcontainerImage {
		r := v1alpha1.DevcontainerImage{}
		r.CreationTimestamp = metav1.NewTime(now.Add(-age))
		r.Spec.ProjectRef, r.Spec.ConfigurationType = &v1alpha1.ProjectReference{Name: "shop"}, kind
		r.Status.CacheResult = result
		if finished {
			r.Status.FinishedAt = &metav1.Time{Time: now}
		}
		return r
	}
	for name, test := range map[string]struct {
		request v1alpha1.DevcontainerImage
		want    bool
	}{
		"new":                         {request(v1alpha1.ConfigurationImage, "", false, 0), true},
		"bypassed":                    {request(v1alpha1.ConfigurationImage, v1alpha1.CacheBypassed, true, 0), false},
		"finished today":              {request(v1alpha1.ConfigurationImage, v1alpha1.CacheHit, true, time.Hour), true},
		"finished the day before":     {request(v1alpha1.ConfigurationImage, v1alpha1.CacheHit, true, 24*time.Hour), false},
		"open for two days":           {request(v1alpha1.ConfigurationImage, v1alpha1.CacheMiss, false, 48*time.Hour), true},
		"Compose, new":                {request(v1alpha1.ConfigurationCompose, "", false, 0), false},
		"Compose, bypassed":           {request(v1alpha1.ConfigurationCompose, v1alpha1.CacheBypassed, true, 0), false},
		"Compose, answered with hit":  {request(v1alpha1.ConfigurationCompose, v1alpha1.CacheHit, false, 0), true},
		"Compose, answered with miss": {request(v1alpha1.ConfigurationCompose, v1alpha1.CacheMiss, true, time.Hour), true},
	} {
		if got := asksForPull(&test.request, now); got != test.want {
			t.Errorf("%s: asks is %t, want %t", name, got, test.want)
		}
	}
}

// TestRefreshesAreSpread looks at when 1,000 projects, whose credentials were made in the same second, ask for others.
func TestRefreshesAreSpread(t *testing.T) {
	made := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	minutes := map[int]int{}
	for n := range 1000 {
		at := refreshAt(metav1.NewTime(made.Add(pullDuration)), types.UID(fmt.Sprintf("8f14e45f-ceea-467f-a8a2-%012d", n))).Sub(made)
		if at < 36*time.Minute || at > 42*time.Minute {
			t.Fatalf("refreshed after %s; want 60 to 70 %% of an hour", at)
		}
		minutes[int(at.Minutes())]++
	}
	for minute := 36; minute < 42; minute++ {
		if minutes[minute] < 80 {
			t.Errorf("%d of 1,000 in minute %d; want them spread: %v", minutes[minute], minute, minutes)
		}
	}
}

// A failure that is over, because nobody asks any more or the cache is on again, is not shown for ever.
func TestStatusOfCredentialsThatNobodyAsksForIsCleared(t *testing.T) {
	for name, test := range map[string]struct {
		conditions []metav1.Condition
		facts      pullFacts
		want       bool
	}{
		"nothing was shown":                {nil, pullFacts{}, false},
		"the last grant had failed":        {fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied), pullFacts{}, true},
		"the cache is off, as it is shown": {fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonDisabled), pullFacts{disabled: true}, false},
		"the cache is on again":            {fixture.Conditions(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonDisabled), pullFacts{}, true},
	} {
		project := &v1alpha1.ProjectImageCache{Status: v1alpha1.ProjectImageCacheStatus{Conditions: test.conditions}}
		if got := (&Reconciler{}).isNews(project, test.facts); got != test.want {
			t.Errorf("%s: news is %t, want %t", name, got, test.want)
		}
		if cleared := pullStatus(project, test.facts); test.want && len(cleared.Conditions) > 0 {
			t.Errorf("%s: the status still shows %v", name, cleared.Conditions)
		}
	}
}

// TestTenThousandIdleProjectsCostNothing has no way to AWS at all, so that a call would end the test.
func TestTenThousandIdleProjectsCostNothing(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "demo"}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(runner).
		WithIndex(&v1alpha1.DevcontainerImage{}, indexes.OpenProject, func(client.Object) []string { return nil }).Build()
	r := &Reconciler{
		Client: c, Clock: clocktesting.NewFakePassiveClock(time.Now()),
		granted: map[types.UID]grantedPull{}, lost: map[types.UID]bool{},
	}
	for n := range 10_000 {
		project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("p%d", n), UID: types.UID(fmt.Sprint(n))}}
		project.Spec.RunnerRef.Name = "demo"
		project.Status.Repository = &v1alpha1.RepositoryStatus{Name: "r"}
		result, err := r.Reconcile(context.Background(), project)
		if err != nil || result != (ctrl.Result{}) {
			t.Fatalf("project %d: %+v, %v; want to be left alone until somebody asks", n, result, err)
		}
	}
	if len(r.granted) != 0 {
		t.Errorf("%d projects take memory", len(r.granted))
	}
}
