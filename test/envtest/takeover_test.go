package envtest

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// shortLease makes build leases run out within a second.
func shortLease(_ *awsemulator.Options, s *controllers.Settings) { s.BuildLease = time.Second }

func TestBuilderThatStopsRenewingIsReplaced(t *testing.T) {
	h := newHarness(t, shortLease)
	h.runner("demo")
	h.project("shop", "demo")
	dead := h.ask("shop", "e-1", hashOf("a"))
	dead.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	for range 8 {
		dead.renew()
		time.Sleep(250 * time.Millisecond) // a runner at work: its lease outlives the duration
	}
	h.Expect(h.refresh(dead.request)).To(Succeed())
	h.Expect(dead.request.Status.FinishedAt).To(BeNil(), "a builder that renews was replaced")
	waiter.role(v1alpha1.RoleBuilder)
	dead.reason(dead.request, v1alpha1.ConditionStalled, v1alpha1.ReasonBuilderLost)
}

func TestReportOfALostBuilderIsNotPublished(t *testing.T) {
	h := newHarness(t, shortLease)
	h.runner("demo")
	h.project("shop", "demo")
	slow := h.ask("shop", "e-1", hashOf("a"))
	slow.role(v1alpha1.RoleBuilder)
	slow.build()
	lease := slow.lease()
	h.Expect(kube.Delete(h.ctx, lease)).To(Succeed())
	slow.report()
	slow.reason(slow.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero())
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

// A builder that waits for something else loses its lease all the same when its runner is gone.
func TestLeaseRunsOutWhileItsBuilderWaits(t *testing.T) {
	h := newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.BuildLease = 3 * time.Second })
	runner := h.runner("demo")
	project := h.project("shop", "demo")
	gone := h.builder("shop", "e-1", hashOf("a"))
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"assumeRoleARN":"arn:aws:iam::123456789012:role/not-allowed"}}`))
	h.Expect(kube.Patch(h.ctx, runner, patch)).To(Succeed())
	h.reason(project, v1alpha1.ConditionReady, v1alpha1.ReasonWaitingForRunner)
	gone.report()
	gone.reason(gone.request, v1alpha1.ConditionReady, v1alpha1.ReasonWaitingForRunner)
	gone.reason(gone.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	gone.finished()
}

// A runner that is interrupted while it uploads gives its lease back: see internal/cluster/lease.go.
func TestLeaseThatIsGivenBackEndsUploadRightsAndLetsAnotherBuild(t *testing.T) {
	h := newHarness(t) // leases last as long as in production, so nothing here waits for one to run out
	h.runner("demo")
	h.project("shop", "demo")
	gone := h.ask("shop", "e-1", hashOf("a"))
	gone.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	gone.build()
	gone.report()
	gone.granted()
	lease := gone.lease()
	lease.Spec.HolderIdentity = ptr.To("released/by-its-builder")
	h.Expect(kube.Update(h.ctx, lease)).To(Succeed())
	waiter.role(v1alpha1.RoleBuilder)
	gone.reason(gone.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
	later := h.ask("shop", "e-3", hashOf("a"))
	later.role(v1alpha1.RoleWaiter)
}

// Nobody waited when the lease was given back, so nothing but the next request can find that nobody builds.
func TestLeaseThatWasGivenBackIsTheNextRequests(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	gone := h.ask("shop", "e-1", hashOf("a"))
	gone.role(v1alpha1.RoleBuilder)
	gone.build()
	gone.report()
	gone.granted()
	lease := gone.lease()
	lease.Spec.HolderIdentity = ptr.To("released/by-its-builder")
	h.Expect(kube.Update(h.ctx, lease)).To(Succeed())
	gone.reason(gone.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	h.ask("shop", "e-2", hashOf("a")).role(v1alpha1.RoleBuilder)
}

func TestManagerThatDiesLosesNothing(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.ask("shop", "e-1", hashOf("a"))
	builder.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	restart := func() {
		h.stop()
		h.startManager()
	}
	restart()
	builder.build()
	h.stop()
	builder.report()
	h.startManager()
	builder.granted()
	restart()
	builder.upload()
	restart()
	builder.reason(builder.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	waiter.ready(waiter.request)
	h.Expect(waiter.request.Status.Image.Digest).To(Equal(builder.request.Status.Image.Digest))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

// The keys are not read yet when the first pass over a runner begins, and that is no news about the runner.
func TestRestartLeavesAReadyRunnerAsItWas(t *testing.T) {
	h := newHarness(t)
	runner := h.runner("demo")
	h.project("shop", "demo")
	h.Expect(h.refresh(runner)).To(Succeed())
	before := runner.ResourceVersion
	for i := range 5 {
		h.stop()
		h.startManager()
		h.ask("shop", fmt.Sprintf("e-%d", i), hashOf(fmt.Sprint(i))).role(v1alpha1.RoleBuilder)
		h.Expect(h.refresh(runner)).To(Succeed())
		h.Expect(runner.ResourceVersion).To(Equal(before), "the restarted manager wrote %+v", runner.Status.Conditions)
	}
}

func TestOneOfManyBuildsAndPublishes(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	const environments = 60
	all := make([]*environment, environments)
	var started sync.WaitGroup
	for i := range all {
		started.Go(func() { all[i] = h.ask("shop", fmt.Sprintf("e-%d", i), hashOf("a")) })
	}
	started.Wait()
	var builder *environment
	for _, e := range all {
		h.Eventually(func() (v1alpha1.Role, error) { return e.request.Status.Role, h.refresh(e.request) }).ShouldNot(BeEmpty())
		if e.request.Status.Role == v1alpha1.RoleBuilder {
			h.Expect(builder).To(BeNil(), "two builders of one hash")
			builder = e
		}
	}
	h.Expect(builder).NotTo(BeNil())
	builder.publish()
	for _, e := range all {
		e.ready(e.request)
		h.Expect(e.request.Status.Image.Digest).To(Equal(builder.request.Status.Image.Digest))
	}
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
}

func TestFinishedRequestsAreRemoved(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.ask("shop", "e-1", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) { s.TTLSecondsAfterFinished = ptr.To[int32](1) })
	builder.publish()
	h.Eventually(func() bool { return apierrors.IsNotFound(h.refresh(builder.request)) }).Should(BeTrue())
	h.ask("shop", "e-2", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}

func TestFinishedRequestsCostNothing(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	hit := h.ask("shop", "e-2", hashOf("a"))
	hit.ready(hit.request)
	h.aws.Calls().Reset()
	version := hit.request.ResourceVersion
	hit.patch(map[string]any{"pull": map[string]any{"outcome": "Succeeded", "durationSeconds": 25}})
	h.Eventually(func() (int64, error) { return ptr.Deref(hit.request.Status.SavedSeconds, 0), h.refresh(hit.request) }).Should(BeEquivalentTo(200))
	h.Expect(hit.request.ResourceVersion).NotTo(Equal(version))
	h.stop()
	h.startManager()
	h.ask("shop", "e-3", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(h.aws.Calls().Count("ecr:BatchGetImage")).To(Equal(1), "the restarted manager looked finished requests up again")
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")).To(BeZero(), "the restarted manager made credentials again that still last")
}

var errAccepted = errors.New("accepted")

func TestAnswerIsLatched(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	miss := h.ask("shop", "e-1", hashOf("a"))
	miss.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	h.Eventually(func() error {
		if err := h.refresh(miss.request); err != nil {
			return err
		}
		changed := miss.request.DeepCopy()
		changed.Status.CacheResult = v1alpha1.CacheHit
		if err := kube.Status().Update(h.ctx, changed); !apierrors.IsInvalid(err) {
			return fmt.Errorf("the API answered: %w", cmp.Or(err, errAccepted))
		}
		return nil
	}).Should(Succeed())
}

func TestUnknownIsNeitherHitNorMiss(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:BatchGetImage", Code: "ServerException", Every: 1})
	lost := h.ask("shop", "e-2", hashOf("a"))
	h.Expect(h.condition(lost.request, v1alpha1.ConditionLookedUp, metav1.ConditionFalse)).To(Equal(v1alpha1.ReasonLookupFailed))
	h.Expect(lost.request.Status.CacheResult).To(BeEmpty())
	h.Expect(lost.request.Status.Role).To(BeEmpty())
	h.aws.Faults().Clear()
	lost.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}

func TestImageDeletedByHandIsAMiss(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	first := h.ask("shop", "e-1", hashOf("a"))
	first.publish()
	h.ask("shop", "e-2", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.deleteImage(project.Status.Repository.Name, first.request.Status.Image.Digest)
	again := h.ask("shop", "e-3", hashOf("a"))
	again.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	again.publish()
}
