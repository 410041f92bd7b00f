package envtest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// Configurations change and change: each image is young, but the layers that they share get old.
func TestLayersThatAreTooOldAreNotOffered(t *testing.T) {
	w := newAgingWorld(t)
	project := w.project("shop", "demo")
	began := w.clock.Now()
	prebuild := func(s *v1alpha1.DevcontainerImageSpec) { s.Trigger = v1alpha1.TriggerPrebuild }
	inputs := func(changed string) func(*v1alpha1.DevcontainerImageSpec) {
		return withInputs("devcontainer.json", "same", "Dockerfile", changed)
	}
	w.ask("shop", "ci", hashOf("first"), prebuild, inputs("1")).publish()

	w.later(20 * 24 * time.Hour)
	second := w.ask("shop", "ci", hashOf("second"), prebuild, inputs("2"))
	second.publish()
	w.Expect(second.request.Status.LayersFrom.LayersSince.Time).To(BeTemporally("~", began, time.Minute))

	w.later(9 * 24 * time.Hour) // the first image is gone by now, and the second is not
	third := w.ask("shop", "e-3", hashOf("third"), inputs("3"))
	third.role(v1alpha1.RoleBuilder)
	w.Expect(third.request.Status.LayersFrom.ConfigHash).To(Equal(second.request.Status.ConfigHash))

	w.later(2 * 24 * time.Hour)
	fourth := w.ask("shop", "e-4", hashOf("fourth"), inputs("4"))
	fourth.role(v1alpha1.RoleBuilder)
	w.Expect(fourth.request.Status.LayersFrom).To(BeNil())
	reader := w.ask("shop", "e-5", hashOf("second"))
	reader.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound) // it only lends nothing

	// Something that was downloaded on the fifth day is bad: the second image may have it.
	before := began.Add(6 * 24 * time.Hour).UTC().Format(time.RFC3339)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"invalidatePushedBefore":"`+before+`"}}`))
	w.Expect(kube.Patch(w.ctx, project, patch)).To(Succeed())
	w.ready(project)
	w.ask("shop", "e-6", hashOf("second")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonInvalidated)
}
