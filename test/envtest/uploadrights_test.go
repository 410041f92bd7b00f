package envtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

// uploadHarness is a timedHarness with a runner "demo" and a project "shop", in which no lease ends: it is about the end
// of upload rights alone.
func uploadHarness(t *testing.T) (*harness, *clocktesting.FakePassiveClock, *v1alpha1.ProjectImageCache) {
	t.Helper()
	return uploadHarnessThrough(t, nil)
}

// uploadHarnessThrough is an uploadHarness whose manager reaches the API server through a wrapper, unless it is nil.
func uploadHarnessThrough(
	t *testing.T, wrap transport.WrapperFunc,
) (*harness, *clocktesting.FakePassiveClock, *v1alpha1.ProjectImageCache) {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newWorld(t, startCloud(t, awsemulator.Options{}, asRoot))
	h.settings.Clock, h.settings.BuildLease = clock, 1000*time.Hour
	if wrap != nil {
		h.config = rest.CopyConfig(restConfig)
		h.config.Wrap(wrap)
	}
	h.startManager()
	h.runner("demo")
	return h, clock, h.project("shop", "demo")
}

// wake begins a pass of each request of a project that is not finished, as time does.
func (h *harness) wake(project *v1alpha1.ProjectImageCache) {
	h.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"wake":%q}}}`, time.Now().String())
	h.Expect(mergePatch(h.t, kube, project.DeepCopy(), patch)).To(Succeed())
}

// uploadLayer uploads the missing layer with a number, and tells nobody.
func (e *environment) uploadLayer(number int) error {
	digest, err := v1.NewHash(e.request.Status.MissingLayers[number])
	if err != nil {
		return err
	}
	layer, err := e.image.LayerByDigest(digest)
	if err != nil {
		return err
	}
	return remote.WriteLayer(e.repository(), layer, e.credentials(e.request.Status.PushCredentials.SecretName))
}

// grants waits until upload rights were granted so many times, and the request shows the last ones.
func (e *environment) grants(times int) {
	e.t.Helper()
	earlier := e.request.Status.PushCredentials
	e.Eventually(func() int32 {
		e.Expect(e.refresh(e.request)).To(Succeed())
		upload, shown := e.request.Status.Upload, e.request.Status.PushCredentials
		if upload == nil || shown == nil || earlier != nil && shown.ExpiresAt.Equal(&earlier.ExpiresAt) {
			return 0
		}
		return upload.Grants
	}).Should(BeEquivalentTo(times), describe(e.request))
}

func TestUploadRightsAreGrantedAgainWhileLayersArrive(t *testing.T) {
	h, clock, project := uploadHarness(t)
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.grants(1)
	first := e.credentials(e.request.Status.PushCredentials.SecretName)
	h.Expect(e.uploadLayer(0)).To(Succeed())

	h.pass(clock, 11*time.Minute)
	h.wake(project)
	h.Consistently(func() int32 { _ = h.refresh(e.request); return e.request.Status.Upload.Grants }, time.Second).Should(BeEquivalentTo(1), "they last four more minutes")
	h.pass(clock, time.Minute)
	h.wake(project)
	e.grants(2)
	h.Expect(e.request.Status.PushCredentials.ExpiresAt.Time).To(BeTemporally("~", clock.Now().Add(15*time.Minute), time.Second))
	h.Expect(e.request.Status.MissingLayers).To(HaveLen(2), "what came is not asked for again")
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(HaveLen(1))

	h.pass(clock, 4*time.Minute) // the first rights have ended
	image, err := remote.Image(e.repository().Digest("sha256:"+hashOf("x")), first)
	h.Expect(image).To(BeNil())
	h.Expect(err).To(MatchError(ContainSubstring("expired")))
	second := e.credentials(e.request.Status.PushCredentials.SecretName)
	h.Expect(remote.Put(e.repository().Tag(hashOf("a")), e.image, second)).NotTo(Succeed(), "the second rights are as narrow as the first: no manifest")
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	e.finished()
	h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(2))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeNumerically("<=", 2), "one of the manager, and the one that is denied")
}

// TestAnImageIsPublishedOnlyAfterItsReport holds that the runner has proved an image before it is published, even if
// the layers arrive long before that and the upload rights end meanwhile.
func TestAnImageIsPublishedOnlyAfterItsReport(t *testing.T) {
	h, clock, project := uploadHarness(t)
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.grants(1)
	for number := range e.request.Status.MissingLayers {
		h.Expect(e.uploadLayer(number)).To(Succeed())
	}
	for _, later := range []time.Duration{12 * time.Minute, 4 * time.Minute, time.Hour} {
		h.pass(clock, later)
		h.wake(project)
		h.Consistently(func() *metav1.Time { _ = h.refresh(e.request); return e.request.Status.FinishedAt }, time.Second).Should(BeNil())
	}
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero(), "nobody has reported that the image is proved")
	h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(1), "nothing is missing, so no rights are needed")

	e.reportUpload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	e.finished()
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

func TestAnUploadThatStandsStillGetsNoFurtherRights(t *testing.T) {
	h, clock, project := uploadHarness(t)
	e := h.builder("shop", "e-1", hashOf("a"))
	waiter := h.ask("shop", "waiter", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	e.report()
	e.grants(1)
	h.Expect(e.uploadLayer(0)).To(Succeed())
	h.pass(clock, 12*time.Minute)
	h.wake(project)
	e.grants(2)
	h.wake(project)
	h.Eventually(func() *metav1.Time {
		_ = h.refresh(waiter.request)
		return waiter.request.Status.Builder.UploadingSince
	}).ShouldNot(BeNil(), "a waiter may stop waiting")
	h.pass(clock, 13*time.Minute)
	h.wake(project)
	h.Consistently(func() *metav1.Time { _ = h.refresh(e.request); return e.request.Status.FinishedAt }, time.Second).Should(BeNil(), "a layer may come in the last two minutes")
	h.pass(clock, 2*time.Minute)
	h.wake(project)
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonUploadTimedOut)
	e.finished()
	published := meta.FindStatusCondition(e.request.Status.Conditions, v1alpha1.ConditionPublished)
	h.Expect(published.Message).To(Equal("the runner completed no layer for 15 minutes; 2 layers are missing, the smallest of 0.0 MB"))
	h.condition(e.request, v1alpha1.ConditionPushCredentialsRemoved, metav1.ConditionTrue)
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
	waiter.publish()
}

// TestAConflictGivesNoFurtherRights lets the status that shows new rights meet conflicts, as a runner can cause them by
// changing its request all the time.
func TestAConflictGivesNoFurtherRights(t *testing.T) {
	const conflicts = 20
	var met, left atomic.Int32
	h, clock, project := uploadHarnessThrough(t, func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method != http.MethodPatch || !strings.Contains(request.URL.Path, "/devcontainerimages/") {
				return next.RoundTrip(request)
			}
			body, err := bodyOf(request)
			if err != nil || !strings.Contains(string(body), `"pushCredentials":{`) || left.Add(-1) < 0 {
				return next.RoundTrip(request)
			}
			met.Add(1)
			const conflict = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"changed","reason":"Conflict","code":409}`
			return &http.Response{
				StatusCode: http.StatusConflict, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(conflict)),
			}, nil
		})
	})
	e := h.builder("shop", "e-1", hashOf("a"))
	left.Store(conflicts)
	before := h.aws.Calls().Count("ecr:GetAuthorizationToken")
	e.report()
	e.granted()
	h.Expect(met.Load()).To(BeEquivalentTo(conflicts))
	h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(1))
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")-before).To(Equal(1), "the rights of the first pass are taken")
	h.Expect(e.uploadLayer(0)).To(Succeed())

	left.Store(conflicts)
	h.pass(clock, 12*time.Minute)
	before = h.aws.Calls().Count("ecr:GetAuthorizationToken")
	pulls := len(h.secrets(v1alpha1.CredentialsPull))
	h.wake(project)
	until := e.request.Status.PushCredentials.ExpiresAt
	h.Eventually(func() metav1.Time { _ = h.refresh(e.request); return e.request.Status.PushCredentials.ExpiresAt }).ShouldNot(Equal(until))
	h.Expect(met.Load()).To(BeEquivalentTo(2 * conflicts))
	h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(2))
	h.Expect(h.aws.Calls().Count("ecr:GetAuthorizationToken")-before).To(BeNumerically("<=", 1+pulls), "one of push, others of pull")
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
}

// TestUncountedRightsAreNotRenewed drops status.upload from what the manager writes, as an API server does whose
// definition of the request does not have it.
func TestUncountedRightsAreNotRenewed(t *testing.T) {
	upload := regexp.MustCompile(`"upload":\{[^{}]*\},?`)
	h, clock, project := uploadHarnessThrough(t, func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method == http.MethodPatch && strings.Contains(request.URL.Path, "/devcontainerimages/") {
				body, err := bodyOf(request)
				if err != nil {
					return nil, err
				}
				body = bytes.ReplaceAll(upload.ReplaceAll(body, nil), []byte(",}"), []byte("}"))
				request.Body, request.ContentLength, request.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
			}
			return next.RoundTrip(request)
		})
	})
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	h.Expect(e.request.Status.Upload).To(BeNil())
	until := e.request.Status.PushCredentials.ExpiresAt
	h.Expect(e.uploadLayer(0)).To(Succeed())
	h.pass(clock, 13*time.Minute)
	h.wake(project)
	h.Consistently(func() metav1.Time { _ = h.refresh(e.request); return e.request.Status.PushCredentials.ExpiresAt }, time.Second).Should(Equal(until))
	h.pass(clock, 3*time.Minute)
	h.wake(project)
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonUploadTimedOut)
	e.finished()
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

// TestErrorsOfAWSAtARenewal lets the check, or the grant, fail when further rights are due: the upload goes on where AWS
// answers again in time, and ends where it does not.
func TestErrorsOfAWSAtARenewal(t *testing.T) {
	for _, operation := range []string{"ecr:BatchCheckLayerAvailability", "sts:AssumeRole"} {
		for name, lasts := range map[string]bool{"for a while": false, "for long": true} {
			t.Run(operation+" "+name, func(t *testing.T) {
				h, clock, project := uploadHarness(t)
				e := h.builder("shop", "e-1", hashOf("a"))
				e.report()
				e.grants(1)
				h.Expect(e.uploadLayer(0)).To(Succeed())
				h.aws.Faults().Add(awsemulator.Fault{Operation: operation, Code: "AccessDeniedException", Status: 400})
				h.pass(clock, 16*time.Minute)
				h.wake(project)
				e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonAccessDenied)
				h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(1), "what failed does not count")
				h.Expect(e.request.Status.FinishedAt).To(BeNil())
				if !lasts {
					h.aws.Faults().Clear()
					h.wake(project)
					e.grants(2)
					e.upload()
					e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
					return
				}
				h.pass(clock, 5*time.Minute)
				h.wake(project)
				e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonUploadTimedOut)
				e.finished()
				h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
			})
		}
	}
}

// TestFurtherRightsNeedWhatTheFirstOnesNeed takes away, between two grants, what the first one needed.
func TestFurtherRightsNeedWhatTheFirstOnesNeed(t *testing.T) {
	for name, test := range map[string]struct {
		take func(h *harness, e *environment, clock *clocktesting.FakePassiveClock)
		want string
	}{
		"the cache is switched off": {func(h *harness, _ *environment, _ *clocktesting.FakePassiveClock) {
			runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: h.namespace}}
			h.Expect(mergePatch(h.t, kube, runner, `{"spec":{"tier":"Enterprise","cache":"Disabled"}}`)).To(Succeed())
		}, v1alpha1.ReasonCacheDisabled},
		"the lease was given back": {func(h *harness, e *environment, _ *clocktesting.FakePassiveClock) {
			lease := e.lease()
			other := "released/by-its-builder"
			lease.Spec.HolderIdentity = &other
			h.Expect(kube.Update(h.ctx, lease)).To(Succeed())
		}, v1alpha1.ReasonNotBuilder},
		"the lease ended": {func(h *harness, _ *environment, clock *clocktesting.FakePassiveClock) { h.pass(clock, 1001*time.Hour) }, v1alpha1.ReasonNotBuilder},
		"the project asks for complete keys": {func(h *harness, _ *environment, _ *clocktesting.FakePassiveClock) {
			project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: h.namespace}}
			h.Expect(mergePatch(h.t, kube, project, `{"spec":{"keyCoverage":"RequireComplete"}}`)).To(Succeed())
		}, v1alpha1.ReasonKeyIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			h, clock, project := uploadHarness(t)
			e := h.builder("shop", "e-1", hashOf("a"))
			report := e.reportPatch()
			report["build"].(map[string]any)["keyCoverage"] = "Incomplete"
			e.patch(report)
			e.grants(1)
			h.Expect(e.uploadLayer(0)).To(Succeed())
			h.pass(clock, 12*time.Minute)
			test.take(h, e, clock)
			h.wake(project)
			e.reason(e.request, v1alpha1.ConditionPublished, test.want)
			e.finished()
			h.Expect(e.request.Status.Upload.Grants).To(BeEquivalentTo(1))
			h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
		})
	}
}
