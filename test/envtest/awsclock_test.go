package envtest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// TestAControllerWhoseClockIsWrongWorks takes an image from its build to two pulls while AWS' clock is 20 minutes before
// the controller's, or behind it. Upload rights last 15 minutes: by the controller's own clock they would be over, or far
// too long.
func TestAControllerWhoseClockIsWrongWorks(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"slow": 20 * time.Minute, "fast": -20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(o *awsemulator.Options, _ *controllers.Settings) {
				o.Clock, o.OneClock = awsemulator.ClockAhead(ahead), true
			})
			h.runner("demo")
			project := h.project("shop", "demo")
			builder := h.builder("shop", "e-1", hashOf("a"))
			builder.report()
			builder.granted()
			h.Expect(h.leftByAWS(builder.request.Status.PushCredentials)).To(BeNumerically("~", 15*time.Minute, time.Minute))
			builder.upload()
			builder.finished()
			h.Expect(builder.request.Status.Image.PushedAt.Time).To(BeTemporally("~", h.aws.Clock().Now(), time.Minute))

			reader := h.ask("shop", "e-2", hashOf("a"))
			reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
			reader.finished()
			h.Expect(reader.works(h.pullSecretOf(project))).To(Succeed())
			h.Expect(h.refresh(project)).To(Succeed())
			h.Expect(h.leftByAWS(project.Status.PullCredentials)).To(BeNumerically("~", time.Hour, time.Minute))
			h.Expect(h.aws.Calls().Count("sts:AssumeRole")).To(BeNumerically("<=", 6), "no call asks again for what it has")
		})
	}
}

// leftByAWS is how long credentials still work, by AWS' clock.
func (h *harness) leftByAWS(credentials *v1alpha1.CredentialReference) time.Duration {
	return credentials.ExpiresAt.Sub(h.aws.Clock().Now())
}
