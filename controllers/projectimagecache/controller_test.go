package projectimagecache

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/ownwrites"
	"imagecache.dev/test/fixture"
)

// A pass that the cache makes work on a project as it was before would make its repository again, and again until the cache
// is up to date.
func TestPassOnAProjectThatIsBehindAsksNothing(t *testing.T) {
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{UID: "a", ResourceVersion: "100", Finalizers: []string{v1alpha1.Finalizer}}}
	r := &Reconciler{writes: ownwrites.New(clocktesting.NewFakeClock(fixture.Noon))} // no client and no AWS to ask
	r.writes.Note(project)
	behind := project.DeepCopy()
	behind.ResourceVersion = "99"
	got, err := r.Reconcile(t.Context(), behind)
	if err != nil || got.RequeueAfter != outcome.ConflictRetry {
		t.Errorf("the pass ends with %v and %v, want another in %s", got, err, outcome.ConflictRetry)
	}
}
