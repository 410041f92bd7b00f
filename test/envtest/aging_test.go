package envtest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

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

// later starts the manager again after some days. Its session would not have lasted that long.
func (w *agingWorld) later(days int) {
	w.t.Helper()
	w.stop()
	w.pass(w.clock, time.Duration(days)*24*time.Hour)
	w.aws.beginSession(w.t, w.controller)
	w.startManager()
}

// cached publishes an image of a configuration.
func (w *agingWorld) cached(configuration string) {
	w.t.Helper()
	e := w.ask("shop", "builder-of-"+configuration, hashOf(configuration))
	e.publish()
	e.finished()
}
