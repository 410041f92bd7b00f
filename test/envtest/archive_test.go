package envtest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// archive moves an image to the archive, as a lifecycle rule does that somebody else set.
func (h *harness) archive(repository, digest string) {
	h.t.Helper()
	_, err := h.root().UpdateImageStorageClass(h.ctx, &ecr.UpdateImageStorageClassInput{
		RepositoryName: &repository, ImageId: &ecrtypes.ImageIdentifier{ImageDigest: &digest}, TargetStorageClass: ecrtypes.TargetStorageClassArchive,
	})
	h.Expect(err).NotTo(HaveOccurred())
}

// An archived image can't be pulled, and its layers can't be used, until it is restored:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
func TestArchivedImageIsNoHitAndIsReplaced(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	first := h.ask("shop", "e-1", hashOf("a"))
	first.publish()
	first.finished()
	h.archive(first.repositoryName(), first.request.Status.Image.Digest)

	second := h.ask("shop", "e-2", hashOf("a"))
	second.answered(v1alpha1.CacheMiss, v1alpha1.ReasonArchived)
	second.role(v1alpha1.RoleBuilder)
	layers, err := first.image.Layers()
	h.Expect(err).NotTo(HaveOccurred())
	second.buildOf(layers)
	second.report()
	second.granted()
	h.Expect(second.request.Status.MissingLayers).To(HaveLen(len(layers)+1), "archived layers are uploaded again")
	second.upload()
	second.reason(second.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	second.finished()

	third := h.ask("shop", "e-3", hashOf("a"))
	third.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(third.request.Status.Image.Digest).To(Equal(second.request.Status.Image.Digest))
	third.pull()
}

// No lifecycle rule removes an image that is archived for less than 90 days, so the manager does.
func TestArchivedImagesExpireAsOthersDo(t *testing.T) {
	h := newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.Intervals.Statistics = 10 * time.Millisecond })
	h.runner("demo")
	h.project("shop", "demo")
	published := func(id, hash string) *environment {
		e := h.ask("shop", id, hash)
		e.publish()
		e.finished()
		return e
	}
	old := published("e-1", hashOf("a"))
	name := old.repositoryName()
	h.archive(name, old.request.Status.Image.Digest)
	h.aws.AgeImages(name, 29*24*time.Hour)
	young := published("e-2", hashOf("b")).request.Status.Image.Digest
	h.archive(name, young)
	h.Consistently(func() []string { return h.archived(name) }).WithTimeout(300*time.Millisecond).Should(HaveLen(2), "neither is past retentionDays")

	h.aws.AgeImages(name, 2*24*time.Hour)
	published("e-3", hashOf("c"))
	h.Eventually(func() []string { return h.archived(name) }).Should(ConsistOf(young))
	h.Eventually(func() []string { return notes(h.namespace, "ImagesExpired") }).Should(ConsistOf("removed 1 archived images that are older than 30 days"))
}

// archived are the digests of a repository's archived images.
func (h *harness) archived(repository string) []string {
	h.t.Helper()
	out, err := h.root().DescribeImages(h.ctx, &ecr.DescribeImagesInput{
		RepositoryName: &repository, Filter: &ecrtypes.DescribeImagesFilter{ImageStatus: ecrtypes.ImageStatusFilterArchived},
	})
	h.Expect(err).NotTo(HaveOccurred())
	var digests []string
	for _, image := range out.ImageDetails {
		digests = append(digests, *image.ImageDigest)
	}
	return digests
}
