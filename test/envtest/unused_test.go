package envtest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
)

// Images that nobody pulls go before retentionDays have passed, and those that somebody pulls or asks for stay.
func TestImagesThatNobodyPullsAreRemoved(t *testing.T) {
	w := newAgingWorld(t)
	project := w.project("shop", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.ExpireUnusedAfterDays = ptrTo(int32(7)) })
	for _, configuration := range []string{"pulled", "asked", "unused"} {
		w.cached(configuration)
	}
	w.later(6 * 24 * time.Hour)
	reader := w.ask("shop", "reader", hashOf("pulled"))
	reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	reader.pull()
	w.cached("young")
	open := w.ask("shop", "open", hashOf("asked"), func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh })
	open.role(v1alpha1.RoleBuilder)

	w.later(60 * time.Hour) // eight and a half days: the limit, the day in which ECR records a pull, and some hours
	tags := func() map[string]string { return w.tags(project.Status.Repository.Name) }
	w.Eventually(tags).ShouldNot(HaveKey(hashOf("unused")))
	w.Expect(tags()).To(And(HaveKey(hashOf("pulled")), HaveKey(hashOf("asked")), HaveKey(hashOf("young"))))
	w.Eventually(func() []string { return notesOf(project, "UnusedImagesRemoved") }).Should(Equal([]string{"removed 1 images that nobody pulled for 7 days"}))
	w.counted(project)
	w.Expect(*project.Status.Images.Count).To(BeEquivalentTo(3))

	// The next environment builds it again, under the same tag.
	w.cached("unused")
	w.Expect(tags()).To(HaveKey(hashOf("unused")))
}

// Where ECR records what the controller reads, images seem to be used later than they are, and stay for longer.
func TestImagesStayWhereTheControllersReadsCount(t *testing.T) {
	w := newAgingWorld(t)
	_, err := w.aws.ecr.DeregisterPullTimeUpdateExclusion(w.ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &w.controller})
	w.Expect(err).NotTo(HaveOccurred())
	project := w.project("shop", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.ExpireUnusedAfterDays = ptrTo(int32(7)) })
	w.cached("unused")
	w.later(6 * 24 * time.Hour)
	w.cached("young")
	w.later(60 * time.Hour)
	w.counted(project)
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(2))
}

// While the runner's cache is off, no environment can pull, so no image is unused: cached images stay until they expire.
func TestNothingIsUnusedWhileTheCacheIsOff(t *testing.T) {
	w := newAgingWorld(t)
	project := w.project("shop", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.ExpireUnusedAfterDays = ptrTo(int32(7)) })
	w.cached("unused")
	runner := &v1alpha1.RunnerImageCache{}
	runner.Name, runner.Namespace = "demo", w.namespace
	w.Expect(mergePatch(t, kube, runner, `{"spec":{"tier":"Enterprise","cache":"Disabled"}}`)).To(Succeed())
	w.Eventually(func(g Gomega) {
		g.Expect(w.refresh(project)).To(Succeed())
		g.Expect(project.Status.EnabledAt).To(BeNil())
	}).Should(Succeed())
	stays := func() {
		t.Helper()
		w.counted(project)
		w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(1))
	}
	w.later(8*24*time.Hour + 12*time.Hour)
	stays()

	// Once the cache is on again, environments have the whole limit to pull.
	w.Expect(mergePatch(t, kube, runner, `{"spec":{"cache":"Enabled"}}`)).To(Succeed())
	w.Eventually(func(g Gomega) {
		g.Expect(w.refresh(project)).To(Succeed())
		g.Expect(project.Status.EnabledAt).NotTo(BeNil())
	}).Should(Succeed())
	w.later(25 * time.Hour)
	stays()
}
