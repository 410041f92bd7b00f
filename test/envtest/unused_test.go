package envtest

import (
	"fmt"
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
	w.days(project, 6)
	reader := w.ask("shop", "reader", hashOf("pulled"))
	reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	reader.pull()
	w.cached("young")
	open := w.ask("shop", "open", hashOf("asked"), func(s *v1alpha1.DevcontainerImageSpec) { s.CachePolicy = v1alpha1.CachePolicyRefresh })
	open.role(v1alpha1.RoleBuilder)

	w.days(project, 3) // not yet: nine days are the limit, and two in which a pull may have left no record
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(4))
	w.days(project, 2)
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
	w.days(project, 6)
	w.cached("young")
	w.days(project, 5)
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
	w.days(project, 10)
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(1))

	// Once the cache is on again, environments have the whole limit to pull.
	w.Expect(mergePatch(t, kube, runner, `{"spec":{"cache":"Enabled"}}`)).To(Succeed())
	w.Eventually(func(g Gomega) {
		g.Expect(w.refresh(project)).To(Succeed())
		g.Expect(project.Status.EnabledAt).NotTo(BeNil())
	}).Should(Succeed())
	w.days(project, 1)
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(1))
}

// While the manager is down, no environment can pull, so an image that was in use before is not unused after it.
func TestImagesInUseStayAfterAnOutage(t *testing.T) {
	w := newAgingWorld(t)
	project := w.project("shop", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.ExpireUnusedAfterDays = ptrTo(int32(2)) })
	w.cached("used")
	w.days(project, 1)
	reader := w.ask("shop", "reader", hashOf("used"))
	reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	reader.pull()
	w.later(8 * 24 * time.Hour)
	w.counted(project)
	w.days(project, 1)
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveLen(1))
	w.Expect(project.Status.EnabledAt.Time).To(BeTemporally("~", w.clock.Now(), 21*time.Hour))
}

// An image that environments pull without a record in ECR, because their role is excluded, is in use all the same.
func TestImagesStayWhereECRDoesNotRecordPulls(t *testing.T) {
	w := newAgingWorld(t)
	runner := &v1alpha1.RunnerImageCache{}
	runner.Name = "demo"
	w.Expect(w.refresh(runner)).To(Succeed())
	_, err := w.aws.ecr.RegisterPullTimeUpdateExclusion(w.ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &runner.Status.PullRoleARN})
	w.Expect(err).NotTo(HaveOccurred())
	project := w.project("shop", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.ExpireUnusedAfterDays = ptrTo(int32(1)) })
	w.cached("used")
	for n := range 5 {
		reader := w.ask("shop", fmt.Sprintf("reader-%d", n), hashOf("used"))
		reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
		reader.pull()
		reader.patch(map[string]any{"pull": map[string]any{"outcome": "Succeeded", "durationSeconds": 1}})
		w.days(project, 1)
	}
	w.Expect(w.tags(project.Status.Repository.Name)).To(HaveKey(hashOf("used")))
	w.Expect(project.Status.EnabledAt.Time).To(BeTemporally("~", w.clock.Now(), time.Minute))
	w.Eventually(func() []string { return notesOf(project, "PullsNotRecorded") }).ShouldNot(BeEmpty())
}
