package install

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

const dashboardKey = "Deployment " + namespace + "/imagecache-dashboard"

// TestTheDashboardIsOffByDefault: and on it is a handful of objects of its own, that change nothing of the manager's.
func TestTheDashboardIsOffByDefault(t *testing.T) {
	without := render(t, "{}")
	with := render(t, "dashboard: {enabled: true, image: {repository: registry.example/imagecache}}")
	if without[dashboardKey] != nil {
		t.Error("it is on by default")
	}
	for key, object := range without {
		if diff := cmp.Diff(object, with[key]); diff != "" {
			t.Errorf("%s changed:\n%s", key, diff)
		}
	}
	for _, key := range []string{
		dashboardKey, "Service " + namespace + "/imagecache-dashboard", "ServiceAccount " + namespace + "/imagecache-dashboard",
		"ClusterRole /imagecache-dashboard", "ClusterRoleBinding /imagecache-dashboard", "NetworkPolicy " + namespace + "/imagecache-dashboard",
	} {
		if with[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	if more := len(with) - len(without); more != 6 {
		t.Errorf("%d objects more, not 6", more)
	}
}

// TestTheDashboardMayOnlyReadAndAsk: what a caller changes, it changes with the caller's own token.
func TestTheDashboardMayOnlyReadAndAsk(t *testing.T) {
	role := decode[rbacv1.ClusterRole](t, render(t,
		"dashboard: {enabled: true, image: {repository: r}}")["ClusterRole /imagecache-dashboard"])
	got := map[string]string{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			got[resource+"."+rule.APIGroups[0]] = strings.Join(rule.Verbs, " ")
		}
	}
	want := map[string]string{
		"runnerimagecaches.imagecache.dev": "get list watch", "projectimagecaches.imagecache.dev": "get list watch",
		"devcontainerimages.imagecache.dev": "get list watch", "tokenreviews.authentication.k8s.io": "create",
		"subjectaccessreviews.authorization.k8s.io": "create",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
}

func TestValuesOfTheDashboard(t *testing.T) {
	deployment := decode[appsv1.Deployment](t, render(t, `
dashboard:
  enabled: true
  image: {repository: registry.example/imagecache, tag: v9}
  readOnly: true
  prometheus: http://prometheus.example:9090
  tlsSecret: certificate
`)[dashboardKey])
	container := deployment.Spec.Template.Spec.Containers[0]
	if container.Image != "registry.example/imagecache:v9" {
		t.Errorf("image %s", container.Image)
	}
	want := []string{
		"dashboard", "--listen=:8443", "--all-namespaces", "--read-only", "--prometheus=http://prometheus.example:9090",
		"--tls-certificate=/tls/tls.crt", "--tls-key=/tls/tls.key",
	}
	if diff := cmp.Diff(want, container.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if volumes := deployment.Spec.Template.Spec.Volumes; len(volumes) != 1 || volumes[0].Secret.SecretName != "certificate" {
		t.Errorf("volumes %+v", volumes)
	}
	security := container.SecurityContext
	if *security.AllowPrivilegeEscalation || !*security.ReadOnlyRootFilesystem || !*deployment.Spec.Template.Spec.SecurityContext.RunAsNonRoot {
		t.Errorf("security %+v", security)
	}
}
