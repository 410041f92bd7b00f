package install

import (
	"context"
	"net/http"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// handOver bounds the time in which nobody leads after a leader was asked to end. It takes 5 s at most: the
// replica that waits asks for the lease every 2 to 4.4 s. A lease that is not released runs out after 15 s.
const handOver = 10 * time.Second

// TestLeaderHandsOver ends a leader as Kubernetes ends a pod: the other replica, ready all the while, leads within seconds
// and does not wait until the lease has run out.
func TestLeaderHandsOver(t *testing.T) {
	installCRDs(t)
	const home = "leaders"
	if err := kube.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}); err != nil {
		t.Fatal(err)
	}
	holder := func(ctx context.Context) string {
		lease := &coordinationv1.Lease{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: home, Name: "manager.imagecache.dev"}, lease); err != nil {
			return ""
		}
		return ptr.Deref(lease.Spec.HolderIdentity, "")
	}

	first := startReplica(t, kubeconfig, "--leader-elect", "--leader-election-namespace", home)
	eventually(t, "the first replica leads", func(ctx context.Context) bool { return holder(ctx) != "" })
	leader := holder(t.Context())
	second := startReplica(t, kubeconfig, "--leader-elect", "--leader-election-namespace", home)
	// A replica that only waits has its caches warm: that is what ready says, and why it is soon at work.
	for name, r := range map[string]*replica{"first": first, "second": second} {
		eventually(t, name+" is ready", func(ctx context.Context) bool {
			return r.probe(ctx, "/readyz") == http.StatusOK && r.probe(ctx, "/healthz") == http.StatusOK
		})
	}

	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "the second replica leads", func(ctx context.Context) bool {
		now := holder(ctx)
		return now != "" && now != leader
	})
	if took > handOver {
		t.Errorf("the second replica led after %s, not within %s", took, handOver)
	}
	select {
	case err := <-first.ended:
		if err != nil {
			t.Errorf("the first replica ended with: %v", err)
		}
	case <-time.After(handOver):
		t.Errorf("the first replica runs %s after another leads", handOver)
	}
	t.Logf("the second replica led %s after the first was asked to end", took.Round(time.Millisecond))
}
