package envtest

import (
	"testing"

	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
)

func TestEvictedImagesAreRemoved(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	project := h.project("shop", "demo")
	h.ask("shop", "e-1", hashOf("a")).publish()
	h.ask("shop", "e-2", hashOf("b")).publish()
	h.Eventually(func() error {
		h.Expect(h.refresh(project)).To(Succeed())
		project.Annotations = map[string]string{v1alpha1.AnnotationEvict: hashOf("a") + ", " + hashOf("unknown") + ", nonsense"}
		return kube.Update(h.ctx, project)
	}).Should(Succeed())
	h.Eventually(func() (map[string]string, error) { return project.Annotations, h.refresh(project) }).ShouldNot(HaveKey(v1alpha1.AnnotationEvict))
	h.ask("shop", "e-3", hashOf("a")).answered(v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound)
	h.ask("shop", "e-4", hashOf("b")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}
