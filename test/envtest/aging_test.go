package envtest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

// agingWorld is a world in which days pass. ECR does not record what its controller reads.
type agingWorld struct {
	*harness
	clock      *clocktesting.FakePassiveClock
	controller string // the ARN of the controller's role
}

func newAgingWorld(t *testing.T) *agingWorld {
	t.Helper()
	w := &agingWorld{
		harness: newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t))), clock: clocktesting.NewFakePassiveClock(time.Now()),
	}
	w.settings.Clock = w.clock
	w.startManager()
	w.controller = w.runner("demo").Status.ControllerARN
	_, err := w.aws.ecr.RegisterPullTimeUpdateExclusion(w.ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &w.controller})
	w.Expect(err).NotTo(HaveOccurred())
	return w
}

// days lets days pass in which the manager runs: it counts a project's images every 20 hours.
func (w *agingWorld) days(project *v1alpha1.ProjectImageCache, days int) {
	w.t.Helper()
	for range days * 24 / 20 {
		w.later(20*time.Hour + time.Minute)
		w.counted(project)
	}
}

// later starts the manager again after a time in which it did not run. Its session would not have lasted that long.
func (w *agingWorld) later(passed time.Duration) {
	w.t.Helper()
	w.stop()
	w.pass(w.clock, passed)
	w.aws.beginSession(w.t, w.controller)
	w.startManager()
}

// counted waits until the manager that runs now has counted a project's images.
func (w *agingWorld) counted(project *v1alpha1.ProjectImageCache) {
	w.t.Helper()
	w.Eventually(func(g Gomega) {
		g.Expect(w.refresh(project)).To(Succeed())
		g.Expect(project.Status.Images).NotTo(BeNil())
		g.Expect(project.Status.Images.ReadAt.Time).To(BeTemporally("~", w.clock.Now(), time.Minute))
	}).Should(Succeed())
}

// cached publishes an image of a configuration. The miss before is explained with the other images, which a new manager
// reads for that.
func (w *agingWorld) cached(configuration string) {
	w.t.Helper()
	e := w.ask("shop", "builder-of-"+configuration, hashOf(configuration), withInputs("devcontainer.json", configuration))
	e.publish()
	e.finished()
}
