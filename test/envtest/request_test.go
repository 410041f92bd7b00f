package envtest

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/imagelabel"
)

func TestMissThenPublishThenHit(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")

	first := h.ask("shop", "e-1", hashOf("a"))
	first.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	first.role(v1alpha1.RoleBuilder)
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty(), "upload rights while the image is built")
	first.publish()
	first.finished()
	h.Expect(first.request.Status.PushCredentials).To(BeNil())
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty(), "upload rights after the publication")
	h.condition(first.request, v1alpha1.ConditionPushCredentialsRemoved, metav1.ConditionTrue)

	second := h.ask("shop", "e-2", hashOf("a"))
	second.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	got, err := second.pull().Digest()
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(got.String()).To(Equal(first.isPublished()))
	h.Expect(*second.request.Status.SavedSeconds).To(BeEquivalentTo(225))

	h.ask("shop", "e-3", hashOf("b")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
}

func TestBypassedRequestsNeedNoAWS(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.runner("off", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.Tier, s.Cache = v1alpha1.TierEnterprise, v1alpha1.CacheDisabled
	})
	off := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "off"}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: "off"}, ProjectID: "off",
	}}
	h.create(off)
	for reason, request := range map[string]*environment{
		v1alpha1.ReasonNonProjectEnvironment: h.ask("shop", "e-1", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) { s.ProjectRef = nil }),
		v1alpha1.ReasonComposeNotSupported: h.ask("shop", "e-2", "", func(s *v1alpha1.DevcontainerImageSpec) {
			s.ConfigurationType = v1alpha1.ConfigurationCompose
		}),
		v1alpha1.ReasonCacheDisabled: h.ask("off", "e-3", hashOf("a")),
	} {
		request.answered(v1alpha1.CacheBypassed, reason)
		h.ready(request.request)
		h.Expect(request.request.Status.Role).To(BeEmpty())
	}
	h.Expect(h.aws.Calls().Count("ecr:BatchGetImage")).To(BeZero())
}

func TestRebuildNeverPublishes(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	rebuild := h.ask("shop", "e-1", hashOf("a"), func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerRebuild })
	rebuild.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	rebuild.role(v1alpha1.RoleLocalBuild)
	rebuild.ready(rebuild.request)
	rebuild.build()
	rebuild.report()
	h.ask("shop", "e-2", hashOf("a")).role(v1alpha1.RoleBuilder)
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero())
}

func TestPrebuildPublishesForEnvironments(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	prebuild := func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerPrebuild }
	first := h.ask("shop", "ci", hashOf("a"), prebuild)
	first.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "ci", hashOf("a"), prebuild)
	waiter.role(v1alpha1.RoleWaiter)
	first.publish()
	waiter.ready(waiter.request)
	second := h.ask("shop", "ci", hashOf("b"), prebuild) // as often as CI asks
	second.role(v1alpha1.RoleBuilder)
	second.publish()

	present := h.ask("shop", "ci", hashOf("a"), prebuild)
	present.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	present.ready(present.request)
	for _, pulls := range []*environment{waiter, present} {
		h.Expect(pulls.request.Status.Image.Digest).To(Equal(first.request.Status.Image.Digest))
		h.Expect(pulls.request.Status.PullCredentials).To(BeNil(), "a prebuild pulls nothing")
		h.Expect(pulls.request.Status.SavedSeconds).To(BeNil(), "nobody saved time")
	}

	environment := h.ask("shop", "e-1", hashOf("a"))
	environment.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	environment.ready(environment.request)
	h.Expect(environment.request.Status.PullCredentials).NotTo(BeNil())
	h.ask("shop", "ci", hashOf("c")).role(v1alpha1.RoleBuilder) // a prebuild is no environment's first request

	refresh := h.ask("shop", "ci", hashOf("b"), prebuild, func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh })
	refresh.answered(v1alpha1.CacheMiss, v1alpha1.ReasonRefresh)
	h.ask("shop", "e-9", hashOf("b")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound) // the old one stays meanwhile
	refresh.publish()
	h.Expect(refresh.request.Status.Image.Digest).NotTo(Equal(second.request.Status.Image.Digest))
}

func TestBuilderIsOfferedTheLayersOfAPrebuild(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	with := func(digests ...string) func(*v1alpha1.DevcontainerImageSpec) {
		return func(s *v1alpha1.DevcontainerImageSpec) {
			for i, digest := range digests {
				s.Inputs = append(s.Inputs, v1alpha1.KeyInput{Name: fmt.Sprint("input-", i), Digest: "sha256:" + strings.Repeat(digest, 64)})
			}
		}
	}
	prebuild := func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerPrebuild }
	far := h.ask("shop", "ci", hashOf("far"), prebuild, with("1", "2"))
	far.publish()
	near := h.ask("shop", "ci", hashOf("near"), prebuild, with("1", "3"))
	near.publish()
	h.ask("shop", "e-0", hashOf("nearest"), with("4", "3")).publish() // an environment's build

	asked := h.ask("shop", "e-1", hashOf("asked"), with("4", "3"))
	asked.role(v1alpha1.RoleBuilder)
	began := far.request.Status.Builder.StartedAt // near was offered its layers
	h.Expect(asked.request.Status.LayersFrom).To(Equal(&v1alpha1.LayerSource{
		Reference: near.request.Status.Image.Reference, ConfigHash: near.request.Status.ConfigHash, SecretName: "shop-pull", LayersSince: began,
	}))
	// The age of layers is that of the first image with them, through any number of images.
	next := h.ask("shop", "ci", hashOf("next"), prebuild, with("5", "3"))
	next.publish()
	h.Expect(next.request.Status.LayersFrom.ConfigHash).To(Equal(near.request.Status.ConfigHash))
	last := h.ask("shop", "e-3", hashOf("last"), with("5", "3", "6"))
	last.role(v1alpha1.RoleBuilder)
	h.Expect(last.request.Status.LayersFrom.ConfigHash).To(Equal(next.request.Status.ConfigHash))
	h.Expect(last.request.Status.LayersFrom.LayersSince).To(Equal(began))
	refresh := h.ask("shop", "e-2", hashOf("near"), with("1", "3"), func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh })
	refresh.role(v1alpha1.RoleBuilder)
	h.Expect(refresh.request.Status.LayersFrom).To(BeNil(), "a refresh builds every step")
}

func TestWaiterGetsTheBuildersImage(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.ask("shop", "e-1", hashOf("a"))
	builder.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	h.Expect(waiter.request.Status.Builder.EnvironmentID).To(Equal("e-1"))
	builder.publish()
	waiter.ready(waiter.request)
	h.Expect(waiter.request.Status.Image.Digest).To(Equal(builder.request.Status.Image.Digest))
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
}

func TestNextWaiterBuildsWhenTheBuildFails(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.ask("shop", "e-1", hashOf("a"))
	builder.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	builder.patch(map[string]any{"build": map[string]any{"outcome": "Failed", "durationSeconds": 3, "message": "RUN make: exit status 2"}})
	builder.reason(builder.request, v1alpha1.ConditionStalled, v1alpha1.ReasonBuildFailed)
	waiter.publish()
}

func TestNextWaiterBuildsWhenTheBuilderIsDeleted(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.ask("shop", "e-1", hashOf("a"))
	builder.role(v1alpha1.RoleBuilder)
	waiter := h.ask("shop", "e-2", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	h.Expect(kube.Delete(h.ctx, builder.request)).To(Succeed())
	waiter.publish()
}

func TestRejectedReportsAreNotPublished(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	for reason, edit := range map[string]func(*v1.ConfigFile){
		v1alpha1.ReasonLabelMismatch: func(c *v1.ConfigFile) { c.Config.Labels[imagelabel.Hash] = hashOf("another") },
		v1alpha1.ReasonWrongPlatform: func(c *v1.ConfigFile) { c.Architecture = "arm64" },
	} {
		t.Run(reason, func(t *testing.T) {
			builder := h.ask("shop", "e-"+hashOf(reason)[:6], hashOf(reason))
			builder.role(v1alpha1.RoleBuilder)
			builder.build(edit)
			builder.report()
			builder.reason(builder.request, v1alpha1.ConditionPublished, reason)
			builder.finished()
			h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
		})
	}
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero())
}
