package envtest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/census"
)

// gate lets the writes of one namespace's requests wait, and counts those that do.
type gate struct {
	base      http.RoundTripper
	namespace string
	open      chan struct{}
	waiting   *atomic.Int32
}

func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPatch && strings.Contains(request.URL.Path, "/namespaces/"+g.namespace+"/devcontainerimages/") {
		g.waiting.Add(1)
		defer g.waiting.Add(-1)
		select {
		case <-g.open:
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	return g.base.RoundTrip(request)
}

// However slowly the requests of one namespace advance, and however many they are, workers are left to the others.
func TestACrowdLeavesWorkersToOtherNamespaces(t *testing.T) {
	h := newHarness(t)
	h.stop()
	h.beside = newNamespace(t)
	waiting, open := &atomic.Int32{}, make(chan struct{})
	h.config = rest.CopyConfig(h.config)
	h.config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &gate{base: base, namespace: h.namespace, open: open, waiting: waiting}
	})
	h.startManager()
	other := *h
	other.namespace = h.beside
	other.runner("demo")
	other.project("shop", "demo")
	other.ask("shop", "first", hashOf("a")).publish()

	const more = 100
	h.askMany("missing", census.CrowdSize+more, func(int) string { return hashOf("b") })
	h.Eventually(waiting.Load).WithTimeout(90 * time.Second).Should(BeNumerically(">=", census.CrowdSize))
	other.ask("shop", "second", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	h.Expect(waiting.Load()).To(BeNumerically("<", census.CrowdSize+more/2), "requests beyond the first thousand have few workers")

	close(open)
	h.Eventually(func() int {
		var list v1alpha1.DevcontainerImageList
		h.Expect(kube.List(h.ctx, &list, client.InNamespace(h.namespace))).To(Succeed())
		seen := 0
		for i := range list.Items {
			if meta.FindStatusCondition(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) != nil {
				seen++
			}
		}
		return seen
	}).WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal(census.CrowdSize + more))
}
