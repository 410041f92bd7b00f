package envtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/publication"
	"imagecache.dev/test/awsemulator"
)

// withInputs gives a request inputs, by name and the text of which the digest is.
func withInputs(pairs ...string) func(*v1alpha1.DevcontainerImageSpec) {
	return func(s *v1alpha1.DevcontainerImageSpec) {
		for i := 0; i < len(pairs); i += 2 {
			s.Inputs = append(s.Inputs, v1alpha1.KeyInput{Name: pairs[i], Digest: "sha256:" + hashOf(pairs[i+1])})
		}
	}
}

// forget removes a request, as its time to live does.
func (e *environment) forget() {
	e.t.Helper()
	e.finished()
	e.Expect(kube.Delete(e.ctx, e.request)).To(Succeed())
	e.Eventually(func() error { return e.refresh(e.request) }).ShouldNot(Succeed())
}

var (
	fiveInputs    = withInputs("devcontainer.json", "1", "Dockerfile", "2", "BuildContext a", "3", "BuildContext b", "4", "Features f", "5")
	newDockerfile = withInputs("devcontainer.json", "1", "Dockerfile", "changed", "BuildContext a", "3", "BuildContext b", "4", "Features f", "5")
)

func TestMissIsExplainedByTheCachedImagesThemselves(t *testing.T) {
	h, clock := timedHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	far := h.ask("shop", "e-16", hashOf("far"), withInputs("devcontainer.json", "other"))
	far.publish()
	first := h.ask("shop", "e-17", hashOf("first"), fiveInputs)
	first.publish()
	h.ask("shop", "e-18", hashOf("second"), newDockerfile).answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)

	// A day later nobody remembers the requests, and the manager is another.
	repository, digest := first.repositoryName(), first.request.Status.Image.Digest
	hit := h.ask("shop", "e-19", hashOf("first"), fiveInputs)
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(hit.request.Status.Image.Digest).To(Equal(digest))
	hit.pull()
	for _, request := range []*environment{far, first, hit} {
		request.forget()
	}
	h.stop()
	h.pass(clock, 3*time.Hour+time.Minute)
	h.startManager()
	h.aws.Calls().Reset()
	explanation := func(id string) string {
		e := h.ask("shop", id, hashOf(id), newDockerfile)
		e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
		return e.request.Status.Explanation
	}
	const want = "Dockerfile differs from the image of 3 h ago (environment e-17); 4 of 5 inputs equal"
	h.Expect(explanation("e-20")).To(Equal(want))
	h.Expect(explanation("e-21")).To(Equal(want))
	h.Expect(h.aws.Calls().Count("ecr:DescribeImages")).To(Equal(1), "a reading serves for a while")

	// What was deleted by hand is not named for longer than a reading is believed.
	h.deleteImage(repository, digest)
	h.pass(clock, 6*time.Minute)
	h.Expect(explanation("e-22")).To(Equal("devcontainer.json, Dockerfile, BuildContext a and 2 more differ from the image of 3 h ago (environment e-16); 0 of 5 inputs equal"))
}

func TestExplanationNeitherStopsNorDelaysAnAnswer(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("first"), fiveInputs).publish()
	h.stop()
	for name, fault := range map[string]awsemulator.Fault{
		"slow":    {Operation: "ecr:DescribeImages", Latency: 10 * time.Second},
		"refused": {Operation: "ecr:DescribeImages", Code: "AccessDeniedException"},
	} {
		h.aws.Faults().Add(fault)
		h.startManager()
		began := time.Now()
		e := h.ask("shop", "e-"+name, hashOf(name), newDockerfile)
		e.answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
		h.Expect(time.Since(began)).To(BeNumerically("<", 5*time.Second), name)
		h.Expect(e.request.Status.Explanation).To(MatchRegexp(`^Dockerfile differs from the image of \d+ s ago \(environment e-1\); 4 of 5 inputs equal$`), "what requests remember")
		h.stop()
		h.aws.Faults().Clear()
	}
}

func TestImageTellsWhatItsRequestSaysAndNothingElse(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	manifestOf := func(e *environment) publication.Origin {
		descriptor, err := remote.Get(e.repository().Digest(e.request.Status.Image.Digest), h.rootAuth())
		h.Expect(err).NotTo(HaveOccurred())
		return publication.OriginIn(descriptor.Manifest)
	}
	e := h.ask("shop", "e-1", hashOf("a"), withInputs("Dockerfile", "2"))
	e.publish()
	want := publication.Origin{
		Hash: hashOf("a"), HashVersion: 1, Platform: "linux/amd64", Environment: "e-1", Trigger: "EnvironmentCreated", BuildSeconds: 225,
		Inputs: []publication.Input{{Name: "Dockerfile", Digest: "sha256:" + hashOf("2")}},
	}
	h.Expect(manifestOf(e)).To(Equal(want))

	inline := h.ask("shop", "e-2", "", func(s *v1alpha1.DevcontainerImageSpec) {
		s.ConfigurationType = v1alpha1.ConfigurationImage
		s.Configuration = &v1alpha1.InlineConfiguration{DevcontainerJSON: `{"image":"debian"}`}
	})
	inline.publish()
	h.Expect(manifestOf(inline).Inputs).To(Equal([]publication.Input{{Name: "devcontainer.json", Digest: "sha256:" + hashOf(`{"image":"debian"}`)}}))

	liar := h.builder("shop", "e-3", hashOf("c"))
	manifest, err := liar.image.RawManifest()
	h.Expect(err).NotTo(HaveOccurred())
	report := liar.reportPatch()
	report["build"].(map[string]any)["manifest"] = change(t, manifest, func(m map[string]any) {
		m["annotations"] = map[string]string{imagelabel.Inputs: fmt.Sprintf(`[{"name":"Dockerfile","digest":"sha256:%s"}]`, hashOf("9"))}
	})
	liar.patch(report)
	liar.reason(liar.request, v1alpha1.ConditionPublished, v1alpha1.ReasonManifestInvalid)
}

// The manager's cache does not hold the inputs of a request. Its own writes leave them, the published image names them,
// and a later builder is told how long the most similar image took.
func TestRequestKeepsItsInputs(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	first := h.ask("shop", "e-1", hashOf("first"), fiveInputs)
	asked := slices.Clone(first.request.Spec.Inputs)
	h.Expect(asked).To(HaveLen(5))
	first.publish()
	first.finished()
	h.Expect(h.refresh(first.request)).To(Succeed())
	h.Expect(first.request.Spec.Inputs).To(Equal(asked), "after its status and its finalizer were written")
	image := first.pull()
	manifest, err := image.RawManifest()
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(publication.OriginIn(manifest).Inputs).To(HaveLen(5))

	second := h.ask("shop", "e-2", hashOf("second"), newDockerfile)
	second.role(v1alpha1.RoleBuilder)
	h.Expect(second.request.Status.Explanation).To(ContainSubstring("Dockerfile differs"))
	h.Expect(second.request.Status.Builder.ExpectedSeconds).To(HaveValue(Equal(int64(225))))
	h.Expect(second.request.Spec.Inputs).To(HaveLen(5))
}
