package envtest

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// countedRequests is how a quota names the number of requests:
// https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-on-object-count
const countedRequests = corev1.ResourceName("count/devcontainerimages.imagecache.dev")

// The API server's admission enforces the quota that is shipped. It goes by the quota's status, which the quota
// controller of kube-controller-manager writes. No such controller runs here, so the test writes what it would.
func TestShippedQuotaLimitsARunnersRequests(t *testing.T) {
	g := NewWithT(t)
	limited, free := newNamespace(t), newNamespace(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "quota", "requests.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	quota := &corev1.ResourceQuota{}
	g.Expect(yaml.UnmarshalStrict(text, quota)).To(Succeed())
	g.Expect(quota.Spec.Hard).To(HaveLen(1))
	hard := quota.Spec.Hard[countedRequests]
	quota.Namespace = limited
	create(t, quota)
	quota.Status.Hard = quota.Spec.Hard
	quota.Status.Used = corev1.ResourceList{countedRequests: *resource.NewQuantity(hard.Value()-2, resource.DecimalSI)}
	g.Expect(kube.Status().Update(t.Context(), quota)).To(Succeed())

	g.Eventually(func() error { return kube.Create(t.Context(), requestObject(limited, "e-1", "p1")) }, soon, tick).Should(Succeed())
	second := create(t, requestObject(limited, "e-2", "p1"))
	// The admission's own copy of the quota may lag behind its last write, which it then repeats.
	err = kube.Create(t.Context(), requestObject(limited, "e-3", "p1"))
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "the request beyond the quota: %v", err)
	g.Expect(err).To(MatchError(ContainSubstring("exceeded quota: " + quota.Name)))
	g.Expect(kube.Get(t.Context(), client.ObjectKeyFromObject(quota), quota)).To(Succeed())
	used := quota.Status.Used[countedRequests]
	g.Expect(used.Value()).To(Equal(hard.Value()))
	create(t, requestObject(free, "e-1", "p1"))

	// A change of a request that exists is no new request.
	second.Labels = map[string]string{"team": "core"}
	g.Expect(kube.Update(t.Context(), second)).To(Succeed())
}
