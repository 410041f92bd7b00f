package runnerimagecache

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/test/fixture"
)

// A change of the stack's tags is on the repositories within a minute: the runner's stack is read often enough for that,
// and once for all of its projects.
func TestStacksAreReadTwiceAMinute(t *testing.T) {
	r := &Reconciler{Intervals: schedule.Intervals{}.WithDefaults()}
	runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.StackName = "stack" })
	if every := r.nextLook(runner); every > 30*time.Second {
		t.Errorf("the stack is read every %s", every)
	}
	for n := range 1000 {
		uid := types.UID(fmt.Sprintf("uid-%d", n))
		if next := fixture.Noon.Add(schedule.Jittered(r.nextLook(runner), uid)); !(visit{at: fixture.Noon}).due(0, next, r.Intervals.Stack) {
			t.Fatalf("the look after %s does not read the stack", next.Sub(fixture.Noon))
		}
	}
	if outcome.AccessDeniedRetry > 30*time.Second {
		t.Errorf("a permission that arrives acts after %s", outcome.AccessDeniedRetry)
	}
}
