package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
)

func TestOwnWritesTellWhatTheCacheDoesNotShowYet(t *testing.T) {
	object := func(uid types.UID, version string) *v1alpha1.DevcontainerImage {
		return &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version}}
	}
	clock := clocktesting.NewFakeClock(noon)
	writes := newOwnWrites(clock)
	writes.note(object("a", "100"))
	for _, test := range []struct {
		what    string
		seen    *v1alpha1.DevcontainerImage
		passed  time.Duration
		another bool // another object is written then
		behind  bool
	}{
		{"before the write, in fewer digits", object("a", "99"), 0, false, true},
		{"the write itself", object("a", "100"), 0, false, false},
		{"after somebody else's write", object("a", "101"), 0, false, false},
		{"another object", object("b", "7"), 0, false, false},
		{"still behind, after others were written", object("a", "99"), cacheLag + time.Second, true, true},
		{"long ago: what is known is bounded", object("a", "99"), cacheLag + time.Second, true, false},
	} {
		clock.Step(test.passed)
		if test.another {
			writes.note(object("c", "200"))
		}
		if got := writes.isBehind(test.seen); got != test.behind {
			t.Errorf("%s: behind %v, want %v", test.what, got, test.behind)
		}
	}
}

// A pass that the cache makes work on a project as it was before would make its repository again, and again until the cache
// is up to date.
func TestPassOnAProjectThatIsBehindAsksNothing(t *testing.T) {
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{UID: "a", ResourceVersion: "100", Finalizers: []string{v1alpha1.Finalizer}}}
	r := &ProjectImageCacheReconciler{writes: newOwnWrites(clocktesting.NewFakeClock(noon))} // no client and no AWS to ask
	r.writes.note(project)
	behind := project.DeepCopy()
	behind.ResourceVersion = "99"
	got, err := r.Reconcile(t.Context(), behind)
	if err != nil || got.RequeueAfter != conflictRetry {
		t.Errorf("the pass ends with %v and %v, want another in %s", got, err, conflictRetry)
	}
}
