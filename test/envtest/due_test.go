package envtest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
)

// An image that environments use is due a week before it expires, until a prebuild has replaced it. Nobody waits for one
// that nobody uses.
func TestUsedImagesAreDueAWeekBeforeTheyExpire(t *testing.T) {
	w := newAgingWorld(t)
	project := w.project("shop", "demo")
	w.cached("used")
	w.cached("unused")
	w.Expect(w.condition(project, v1alpha1.ConditionImagesDue, metav1.ConditionFalse)).To(Equal(v1alpha1.ReasonNoneDue))

	w.later(20 * 24 * time.Hour)
	reader := w.ask("shop", "reader", hashOf("used"))
	reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	reader.pull()

	w.later(4 * 24 * time.Hour)
	w.Expect(w.condition(project, v1alpha1.ConditionImagesDue, metav1.ConditionTrue)).To(Equal(v1alpha1.ReasonUsedImagesExpire))
	w.Expect(*project.Status.Images.Count).To(BeEquivalentTo(2))
	w.Expect(*project.Status.Images.DueCount).To(BeEquivalentTo(1))
	w.Expect(project.Status.Images.DueExpiresAt.Time).To(BeTemporally("~", w.clock.Now().AddDate(0, 0, 6), time.Hour))
	w.ready(project)

	w.pass(w.clock, 2*time.Minute) // the shortest time between two counts
	prebuild := w.ask("shop", "nightly", hashOf("used"), func(s *v1alpha1.DevcontainerImageSpec) {
		s.Trigger, s.CachePolicy = v1alpha1.TriggerPrebuild, v1alpha1.CachePolicyRefresh
	})
	prebuild.publish()
	w.condition(project, v1alpha1.ConditionImagesDue, metav1.ConditionFalse)
	w.Expect(*project.Status.Images.DueCount).To(BeZero())
	w.Expect(project.Status.Images.DueExpiresAt).To(BeNil())
}
