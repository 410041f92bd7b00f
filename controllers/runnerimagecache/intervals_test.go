package runnerimagecache

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
	"imagecache.dev/test/fixture"
)

// A change of the stack's tags is on the repositories within ten minutes, and a stack that something is wrong with is looked
// at again after a minute.
func TestStacksAreReadEveryFewMinutes(t *testing.T) {
	r := &Reconciler{Intervals: schedule.Intervals{}.WithDefaults()}
	runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.StackName = "stack" })
	if every := r.nextLook(runner); every != 5*time.Minute {
		t.Errorf("the stack is read every %s", every)
	}
	for n := range 1000 {
		uid := types.UID(fmt.Sprintf("uid-%d", n))
		if next := fixture.Noon.Add(schedule.Jittered(r.nextLook(runner), uid)); !(visit{at: fixture.Noon}).due(0, next, r.Intervals.Stack) {
			t.Fatalf("the look after %s does not read the stack", next.Sub(fixture.Noon))
		}
	}
	r.visitsOf(runner.UID).stack = visit{at: fixture.Noon, err: errors.New("outdated")}
	if every := r.nextLook(runner); every != time.Minute {
		t.Errorf("a faulty stack is read every %s", every)
	}
	if outcome.AccessDeniedRetry > 30*time.Second {
		t.Errorf("a permission that arrives acts after %s", outcome.AccessDeniedRetry)
	}
}

func TestHowOldAStackMayBe(t *testing.T) {
	intervals := schedule.Intervals{}.WithDefaults()
	for name, test := range map[string]struct {
		observed int64
		last     visit
		want     time.Duration
	}{
		"a new object":            {0, visit{}, 0},
		"a spec that changed":     {0, visit{generation: 1, at: fixture.Noon}, 0},
		"changed, status written": {2, visit{generation: 1, at: fixture.Noon}, 0},
		"a new manager":           {2, visit{}, 30 * time.Second},
		"a stack that is faulty":  {2, visit{generation: 2, at: fixture.Noon, err: errors.New("outdated")}, 30 * time.Second},
		"an interval has gone by": {2, visit{generation: 2, at: fixture.Noon}, 150 * time.Second},
	} {
		runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Generation, r.Status.ObservedGeneration = 2, test.observed })
		if got := maxStackAge(runner, test.last, intervals); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// CloudFormation limits the calls to an account and region, whatever role makes them.
func TestRolesOfOneAccountShareTheCallsThatReadStacks(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{AWS: provider, Clock: clock.RealClock{}, Intervals: schedule.Intervals{}.WithDefaults()}
	target := func(region, role string) aws.Target {
		return aws.Target{Region: region, AssumeRoleARN: "arn:aws:iam::111122223333:role/" + role}
	}
	r.stacksOf(target("eu-central-1", "a"), "111122223333")
	r.stacksOf(target("eu-central-1", "b"), "111122223333")
	if len(r.stacks) != 2 || len(r.stackCalls) != 1 {
		t.Errorf("%d roles have %d budgets, want two and one", len(r.stacks), len(r.stackCalls))
	}
	r.stacksOf(target("us-east-1", "a"), "111122223333")
	r.stacksOf(aws.Target{Region: "eu-central-1"}, "444455556666")
	if len(r.stackCalls) != 3 {
		t.Errorf("%d budgets, want three: of two regions, and of another account", len(r.stackCalls))
	}
}
