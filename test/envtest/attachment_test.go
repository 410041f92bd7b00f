package envtest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/attestation"
	"imagecache.dev/test/awsemulator"
)

// attaching makes a project whose images get their statements attached.
func (h *harness) attaching(name string) *v1alpha1.ProjectImageCache {
	h.t.Helper()
	return h.project(name, "r1", func(s *v1alpha1.ProjectImageCacheSpec) { s.Provenance = v1alpha1.ProvenanceAttach })
}

// referrers lists what is attached to the image of a request.
func (e *environment) referrers(project *v1alpha1.ProjectImageCache) []ecrtypes.ImageReferrer {
	e.t.Helper()
	e.Expect(e.refresh(e.request)).To(Succeed())
	out, err := e.aws.ecr.ListImageReferrers(e.ctx, &ecr.ListImageReferrersInput{
		RepositoryName: &project.Status.Repository.Name, SubjectId: &ecrtypes.SubjectIdentifier{ImageDigest: &e.request.Status.Image.Digest},
	})
	e.Expect(err).NotTo(HaveOccurred())
	return out.Referrers
}

func TestStatementIsAttachedToAPublishedImageAndDisturbsNothing(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.settings.Intervals = controllers.Intervals{Statistics: 1}
	h.startManager()
	h.runner("r1")
	project, plain := h.attaching("attached"), h.project("plain", "r1")
	first, without := h.ask("attached", "e1", hashOf("first")), h.ask("plain", "e2", hashOf("first"))
	first.publish()
	without.publish()
	h.Eventually(func() []ecrtypes.ImageReferrer { return first.referrers(project) }, soon, tick).Should(HaveLen(1))
	found := first.referrers(project)[0]
	h.Expect(*found.ArtifactType).To(Equal(attestation.BundleType))
	h.Expect(found.Annotations).To(HaveKeyWithValue("dev.sigstore.bundle.predicateType", "https://slsa.dev/provenance/v1"))
	h.Expect(without.referrers(plain)).To(BeEmpty())

	// The image is a hit, is pulled, and counts as one.
	hit := h.ask("attached", "e3", hashOf("first"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	hit.pull()
	h.Eventually(func(g Gomega) {
		g.Expect(h.refresh(project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(*project.Status.Images.Count).To(Equal(int64(1)))
	}, soon, tick).Should(Succeed())
	h.ready(project)

	// A manager that starts again attaches nothing twice.
	h.stop()
	h.startManager()
	second := h.ask("attached", "e4", hashOf("second"))
	second.publish()
	h.Eventually(func() []ecrtypes.ImageReferrer { return second.referrers(project) }, soon, tick).Should(HaveLen(1))
	h.Expect(first.referrers(project)).To(HaveLen(1))

	// What is attached goes with an evicted image.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"imagecache.dev/evict":"`+hashOf("first")+`"}}}`))
	h.Expect(kube.Patch(t.Context(), project, patch)).To(Succeed())
	h.Eventually(func() []ecrtypes.ImageReferrer { return first.referrers(project) }, soon, tick).Should(BeEmpty())
	images, err := h.aws.ecr.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(images.ImageDetails).To(HaveLen(2), "the second image and its statement")
}

func TestStatementThatCantBeAttachedHoldsUpNoPublication(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	h.runner("r1")
	project := h.attaching("attached")
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:ListImageReferrers", Code: "ServerException", Status: 500})
	e := h.ask("attached", "e1", hashOf("first"))
	e.publish()
	e.finished()
	h.Eventually(func() int { return h.aws.Calls().Errors("ecr:ListImageReferrers") }, soon, tick).Should(BeNumerically(">", 0))
	h.ask("attached", "e2", hashOf("first")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.ready(project)
	h.aws.Faults().Clear()
	h.Eventually(func() []ecrtypes.ImageReferrer { return e.referrers(project) }, "2m", tick).Should(HaveLen(1))
}
