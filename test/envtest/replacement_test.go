package envtest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

// replacements are the ways in which an image that stands under a hash comes to be replaced.
var replacements = map[string]struct {
	reason  string
	prepare func(*harness, *clocktesting.FakePassiveClock)
	edit    func(*v1alpha1.DevcontainerImageSpec)
}{
	"expired": {v1alpha1.ReasonExpired, func(h *harness, clock *clocktesting.FakePassiveClock) {
		h.pass(clock, 30*24*time.Hour-30*time.Minute)
	}, nil},
	"invalidated": {v1alpha1.ReasonInvalidated, func(h *harness, clock *clocktesting.FakePassiveClock) {
		h.pass(clock, time.Minute)
		before := clock.Now().Add(-30 * time.Second).UTC().Format(time.RFC3339)
		project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: h.namespace}}
		h.Expect(mergePatch(h.t, kube, project, `{"spec":{"invalidatePushedBefore":"`+before+`"}}`)).To(Succeed())
		h.ready(project)
	}, nil},
	"refreshed": {v1alpha1.ReasonRefresh, func(h *harness, clock *clocktesting.FakePassiveClock) { h.pass(clock, time.Minute) },
		func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh }},
}

// TestReplacingResumesAtEveryStep breaks the manager off after each write to AWS, and lets another one finish. The first
// PutImage finds the tag taken, so that the second is the one that puts.
func TestReplacingResumesAtEveryStep(t *testing.T) {
	denied := awsemulator.Fault{Code: "AccessDeniedException"} // neither SDK nor manager try again at once
	step := func(operation string, every int, afterEffect bool) *awsemulator.Fault {
		fault := denied
		fault.Operation, fault.Every, fault.AfterEffect = operation, every, afterEffect
		return &fault
	}
	for _, test := range []struct {
		image, step string
		fault       *awsemulator.Fault
	}{
		{"expired", "undisturbed", nil},
		{"invalidated", "undisturbed", nil},
		{"refreshed", "undisturbed", nil},
		{"expired", "before the first put", step("ecr:PutImage", 1, false)},
		{"refreshed", "before the deletion", step("ecr:BatchDeleteImage", 1, false)},
		{"refreshed", "after the deletion, before its answer", step("ecr:BatchDeleteImage", 1, true)},
		{"expired", "after the deletion, before the put", step("ecr:PutImage", 2, false)},
		{"expired", "after the put, before its answer", step("ecr:PutImage", 2, true)},
		{"refreshed", "after the put, before its answer", step("ecr:PutImage", 2, true)},
	} {
		t.Run(test.image+" "+test.step, func(t *testing.T) {
			replacement := replacements[test.image]
			replaceWith(t, replacement.reason, replacement.prepare, replacement.edit, test.fault)
		})
	}
}

func replaceWith(t *testing.T, reason string, prepare func(*harness, *clocktesting.FakePassiveClock), edit func(*v1alpha1.DevcontainerImageSpec), fault *awsemulator.Fault) {
	t.Helper()
	h, clock := timedHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	old := h.ask("shop", "old", hashOf("a"))
	old.publish()
	prepare(h, clock)

	e := h.ask("shop", "new", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) {
		if edit != nil {
			edit(s)
		}
	})
	e.role(v1alpha1.RoleBuilder)
	if reason != v1alpha1.ReasonInvalidated { // what is invalidated, the project's controller removes too
		e.answered(v1alpha1.CacheMiss, reason)
		h.Expect(h.tags(e.repositoryName())).To(HaveLen(1), "until the publication the old image stays")
	}
	e.build()
	e.report()
	if fault != nil {
		h.aws.Faults().Add(*fault)
		e.upload()
		h.Eventually(func() int { return h.aws.Calls().Errors(fault.Operation) }).Should(Equal(fault.Every))
		h.stop()
		h.aws.Faults().Clear()
		h.startManager()
	} else {
		e.upload()
	}
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	e.finished()
	digest := e.isPublished()
	h.Expect(h.tags(e.repositoryName())).To(Equal(map[string]string{hashOf("a"): digest}))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
	hit := h.ask("shop", "reader", hashOf("a"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(hit.request.Status.Image.Digest).To(Equal(digest))
}

// refreshWith publishes an image, which environment reader hits, and has another that replaces it uploaded, with a fault.
// The first put finds the tag taken, so every second one is what puts.
func (h *harness) refreshWith(fault awsemulator.Fault) *environment {
	h.t.Helper()
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "old", hashOf("a")).publish()
	h.ask("shop", "reader", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	refresh := h.ask("shop", "new", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh })
	refresh.role(v1alpha1.RoleBuilder)
	refresh.build()
	refresh.report()
	h.aws.Faults().Add(fault)
	refresh.upload()
	return refresh
}

// TestNoLookupMissesWhileAnImageIsReplaced holds the manager between the removal of the old image and the put of the new
// one. An environment that was created already, whose pull has found the old image gone, could only build for itself.
func TestNoLookupMissesWhileAnImageIsReplaced(t *testing.T) {
	h := newHarness(t)
	refresh := h.refreshWith(awsemulator.Fault{Operation: "ecr:PutImage", Every: 2, Latency: time.Second})
	h.Eventually(func() map[string]string { return h.tags(refresh.repositoryName()) }).WithPolling(time.Millisecond).Should(BeEmpty())
	again, first := h.ask("shop", "reader", hashOf("a")), h.ask("shop", "another", hashOf("a"))
	refresh.finished()
	digest := refresh.isPublished()
	for _, e := range []*environment{again, first} {
		e.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
		h.Expect(e.request.Status.Image.Digest).To(Equal(digest))
	}
}

// TestAReplacementThatFailsKeepsNobodyWaiting is for a put that AWS denies after the old image was removed.
func TestAReplacementThatFailsKeepsNobodyWaiting(t *testing.T) {
	h := newHarness(t)
	refresh := h.refreshWith(awsemulator.Fault{Operation: "ecr:PutImage", Every: 2, Code: "AccessDeniedException"})
	refresh.reason(refresh.request, v1alpha1.ConditionPublished, v1alpha1.ReasonAccessDenied)

	waiter := h.ask("shop", "another", hashOf("a"))
	waiter.reason(waiter.request, v1alpha1.ConditionLookedUp, v1alpha1.ReasonProgressing)
	waiter.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	waiter.role(v1alpha1.RoleWaiter)
}
