package install

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestReadyMeansThatTheManagerSeesTheCluster starts a replica whose user may list nothing: it is alive, so that nothing
// restarts it, and not ready, until it has the rights of config/rbac/role.yaml.
func TestReadyMeansThatTheManagerSeesTheCluster(t *testing.T) {
	installCRDs(t)
	const user = "manager-without-rights"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, kubeconfigOf(t, user), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t, file, "--cluster-uid", "test")
	eventually(t, "the replica is alive", func(ctx context.Context) bool { return r.probe(ctx, "/healthz") == http.StatusOK })
	eventually(t, "the replica says that it is not ready", func(ctx context.Context) bool {
		return r.probe(ctx, "/readyz") == http.StatusInternalServerError
	})

	text, err := os.ReadFile(filepath.Join(root, "config", "rbac", "role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		t.Fatal(err)
	}
	role.Name = user
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := kube.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if err := kube.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "the replica is ready", func(ctx context.Context) bool {
		return r.probe(ctx, "/readyz") == http.StatusOK && r.probe(ctx, "/healthz") == http.StatusOK
	})
	t.Logf("ready %s after it got its rights", took)
}
