package envtest

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/publication"
)

// cachesCompose is a project that caches Docker Compose configurations.
func cachesCompose(s *v1alpha1.ProjectImageCacheSpec) { s.Compose = v1alpha1.ComposePolicyCached }

// ofService makes a request one for a service of Docker Compose, with inputs.
func ofService(name string) func(*v1alpha1.DevcontainerImageSpec) {
	return func(s *v1alpha1.DevcontainerImageSpec) {
		s.ConfigurationType, s.Service = v1alpha1.ConfigurationCompose, name
		s.Inputs = []v1alpha1.KeyInput{
			{Name: "ComposeFile compose.yaml", Digest: "sha256:" + hashOf("compose")},
			{Name: "Service " + name, Digest: "sha256:" + s.ConfigHash},
		}
	}
}

// askServices asks for several services of an environment at once.
func (h *harness) askServices(project, id, version string, names ...string) []*environment {
	h.t.Helper()
	var asked []*environment
	for _, name := range names {
		asked = append(asked, h.ask(project, id, hashOf(name+version), ofService(name)))
	}
	return asked
}

// setCompose changes what a project does with Docker Compose configurations.
func (h *harness) setCompose(project string, policy v1alpha1.ComposePolicy) {
	h.t.Helper()
	object := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: project}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"compose":%q}}`, policy))
	h.Expect(kube.Patch(h.ctx, object, patch)).To(Succeed())
	h.ready(object)
}

func TestServicesAreBypassedByDefault(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	h.Expect(project.Spec.Compose).To(Equal(v1alpha1.ComposePolicyBypassed))
	for _, e := range h.askServices("shop", "e-1", "", "web", "api") {
		e.answered(v1alpha1.CacheBypassed, v1alpha1.ReasonComposeNotSupported)
		e.ready(e.request)
		h.Expect(e.request.Status.Explanation).To(Equal("Docker Compose configurations are not cached; spec.compose: Cached of project shop changes that"))
		h.Expect(e.request.Status.Role).To(BeEmpty())
	}
	shown := newKubectl(t, h.namespace).must("get", "dci")
	h.Expect(shown).To(MatchRegexp(`^NAME +PROJECT +ENVIRONMENT +SERVICE +RESULT `))
	h.Expect(shown).To(MatchRegexp(` shop +e-1 +web +Bypassed `))
	h.Expect(h.aws.Calls().Count("ecr:BatchGetImage")).To(BeZero())
	h.Expect(h.secrets(v1alpha1.CredentialsPull)).To(BeEmpty(), "nobody pulls")
}

func TestServiceOfADefaultProjectNeedsNoRunner(t *testing.T) {
	h := newHarness(t)
	h.create(&v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: "missing"}, ProjectID: "shop",
	}})
	e := h.ask("shop", "e-1", hashOf("a"), ofService("web"))
	e.answered(v1alpha1.CacheBypassed, v1alpha1.ReasonComposeNotSupported)
	e.ready(e.request)
}

func TestRequestOfAnEarlierRunnerIsBypassedWhereServicesAreCached(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	e := h.ask("shop", "e-1", "", func(s *v1alpha1.DevcontainerImageSpec) { s.ConfigurationType = v1alpha1.ConfigurationCompose })
	e.answered(v1alpha1.CacheBypassed, v1alpha1.ReasonComposeNotSupported)
	h.Expect(e.request.Status.Explanation).To(ContainSubstring("install a newer imagecache on the runner"))
}

// TestServicesOfAnEnvironmentArePublishedEach has an environment of three services: one request for each, answered
// together. Nothing of one waits for another.
func TestServicesOfAnEnvironmentArePublishedEach(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	first := h.askServices("shop", "e-1", "", "web", "api", "worker")
	for _, e := range first {
		e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
		e.role(v1alpha1.RoleBuilder)
	}
	waiters := h.askServices("shop", "e-2", "", "web", "api", "worker")
	for i, e := range waiters {
		e.role(v1alpha1.RoleWaiter)
		h.Expect(e.request.Status.Builder.Name).To(Equal(first[i].request.Name), "one builder each")
		ready := meta.FindStatusCondition(e.request.Status.Conditions, v1alpha1.ConditionReady)
		h.Expect(ready.Message).To(Equal("environment e-1 is building this configuration for service " + e.request.Spec.Service))
	}
	first[1].publish()
	waiters[1].ready(waiters[1].request)
	h.Expect(first[0].refresh(first[0].request)).To(Succeed())
	h.Expect(first[0].request.Status.Role).To(Equal(v1alpha1.RoleBuilder), "still at work")
	first[0].publish()
	first[2].publish()

	digests := map[string]bool{}
	for i, e := range h.askServices("shop", "e-3", "", "web", "api", "worker") {
		e.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
		got, err := e.pull().Digest()
		h.Expect(err).NotTo(HaveOccurred())
		h.Expect(got.String()).To(Equal(first[i].request.Status.Image.Digest))
		digests[got.String()] = true
		manifest, _ := h.manifestUnder(e.repositoryName(), e.request.Status.ConfigHash)
		h.Expect(publication.OriginIn(manifest).Service).To(Equal(e.request.Spec.Service))
	}
	h.Expect(digests).To(HaveLen(3))
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(3))
}

// TestFinishedRequestOfAServiceStillCounts has a request that is finished, of which the manager's cache keeps little.
func TestFinishedRequestOfAServiceStillCounts(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	h.ask("shop", "e-1", hashOf("web"), ofService("web")).publish()
	hit := h.ask("shop", "e-2", hashOf("web"), ofService("web"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	hit.finished()
	h.ask("shop", "e-2", hashOf("api"), ofService("api")).role(v1alpha1.RoleBuilder)
	h.ask("shop", "e-2", hashOf("web changed"), ofService("web")).role(v1alpha1.RoleLocalBuild)
}

func TestSecondRequestForAServiceBuildsForItself(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	first := h.askServices("shop", "e-1", "", "web", "api")
	first[0].publish()
	first[1].role(v1alpha1.RoleBuilder)
	first[1].patch(map[string]any{"build": map[string]any{"outcome": "Failed", "durationSeconds": 1, "message": "no space"}})
	first[1].finished()
	for _, e := range h.askServices("shop", "e-1", "changed", "web", "api") {
		e.role(v1alpha1.RoleLocalBuild)
		e.ready(e.request)
		h.Expect(e.request.Status.Explanation).To(ContainSubstring("only the first request for service " + e.request.Spec.Service + " may publish"))
	}
	third := h.ask("shop", "e-1", hashOf("new"), ofService("added"))
	third.role(v1alpha1.RoleBuilder)
	h.Expect(third.request.Status.Explanation).To(ContainSubstring("differ from the image of"))
}

func TestMissOfAServiceIsExplainedByTheSameService(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	for _, e := range h.askServices("shop", "e-1", "", "web", "api") {
		e.publish()
	}
	changed := h.askServices("shop", "e-2", "changed", "web", "api")
	for _, e := range changed {
		e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
		h.Expect(e.request.Status.Explanation).To(MatchRegexp(
			`^Service %[1]s differs from the image of .* \(environment e-1, service %[1]s\); 1 of 2 inputs equal`, e.request.Spec.Service))
	}
}

func TestPrebuildPublishesServices(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo", cachesCompose)
	prebuild := func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerPrebuild }
	for range 2 { // as often as CI asks
		e := h.ask("shop", "ci", hashOf(fmt.Sprint(h.aws.Calls().Count("ecr:PutImage"))), ofService("web"), prebuild)
		e.publish()
	}
	e := h.ask("shop", "ci", hashOf("0"), ofService("web"), prebuild)
	e.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	e.ready(e.request)
}

func TestProjectThatStartsToCacheComposeAnswersServices(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a"), ofService("web")).answered(v1alpha1.CacheBypassed, v1alpha1.ReasonComposeNotSupported)
	h.setCompose("shop", v1alpha1.ComposePolicyCached)
	e := h.ask("shop", "e-2", hashOf("a"), ofService("web"))
	e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	e.publish()
	e.patch(map[string]any{"pull": map[string]any{"outcome": "Succeeded", "durationSeconds": 5}})
	hit := h.ask("shop", "e-3", hashOf("a"), ofService("web"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	hit.ready(hit.request)
	h.Expect(hit.request.Status.SavedSeconds).To(Equal(ptr.To[int64](225)))

	h.setCompose("shop", v1alpha1.ComposePolicyBypassed)
	h.ask("shop", "e-4", hashOf("a"), ofService("web")).answered(v1alpha1.CacheBypassed, v1alpha1.ReasonComposeNotSupported)
	h.Expect(h.refresh(hit.request)).To(Succeed())
	h.Expect(hit.request.Status.CacheResult).To(Equal(v1alpha1.CacheHit), "an answer stays")
}
