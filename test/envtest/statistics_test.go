package envtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"

	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// A project's images are counted once something was published, and for many publications no more often than the interval
// allows.
func TestImagesAreCounted(t *testing.T) {
	const interval, precision = 3 * time.Second, time.Second // times in the API have whole seconds
	h := newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.Intervals.Statistics = interval })
	h.runner("demo")
	project := h.project("shop", "demo")
	counts := func() int { return h.aws.Calls().Count("ecr:DescribeImages") }
	h.Expect(counts()).To(BeZero(), "figures are read where something was published")

	began := time.Now()
	for n := range 5 {
		e := h.ask("shop", fmt.Sprintf("e-%d", n), hashOf(fmt.Sprint(n)))
		e.publish()
		e.finished()
	}
	h.Eventually(func(g Gomega) {
		g.Expect(h.refresh(project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(*project.Status.Images.Count).To(BeEquivalentTo(5))
	}).Should(Succeed())
	h.Expect(counts()).To(BeNumerically("<=", 1+int(time.Since(began)/(interval-precision))), "a count for each publication")

	listed, err := h.root().DescribeImages(h.ctx, &ecr.DescribeImagesInput{RepositoryName: &project.Status.Repository.Name})
	h.Expect(err).NotTo(HaveOccurred())
	var bytes int64
	oldest := time.Now()
	for _, image := range listed.ImageDetails {
		bytes += *image.ImageSizeInBytes
		if image.ImagePushedAt.Before(oldest) {
			oldest = *image.ImagePushedAt
		}
	}
	images := project.Status.Images
	h.Expect(bytes).To(BeNumerically(">", 1000))
	h.Expect(*images.SizeBytes).To(Equal(bytes))
	h.Expect(images.EstimatedMonthlyCostUSD).To(Equal("0.00"), "of some kilobytes")
	h.Expect(images.OldestExpiresAt.Time).To(BeTemporally("~", oldest.AddDate(0, 0, 30), time.Second))
	before := counts()
	h.Consistently(counts, interval+time.Second).Should(Equal(before), "nothing was published since")
}
