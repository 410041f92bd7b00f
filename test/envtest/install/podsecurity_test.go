package install

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// TestManagerPassesTheRestrictedProfile creates the manager's pod in a namespace with the labels of config/default's, where
// the API server's own admission decides; and the same pod with one right more, which it refuses.
func TestManagerPassesTheRestrictedProfile(t *testing.T) {
	config := kustomize(t, "default")
	home := decode[corev1.Namespace](t, config["Namespace /"+namespace])
	home.Name = "restricted"
	if home.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace does not enforce the restricted profile: %v", home.Labels)
	}
	if err := kube.Create(t.Context(), &home); err != nil {
		t.Fatal(err)
	}
	template := decode[appsv1.Deployment](t, config[deploymentKey]).Spec.Template
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: home.Name, Name: name}, Spec: *template.Spec.DeepCopy()}
	}

	if err := kube.Create(t.Context(), pod("manager")); err != nil {
		t.Errorf("the manager's pod is refused: %v", err)
	}
	loose := pod("loose")
	loose.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = ptr.To(true)
	if err := kube.Create(t.Context(), loose); !errors.IsForbidden(err) || !strings.Contains(err.Error(), "allowPrivilegeEscalation") {
		t.Errorf("a pod with privilege escalation is not refused: %v", err)
	}
}

// TestManagerPodIsBounded looks at what the restricted profile does not ask for.
func TestManagerPodIsBounded(t *testing.T) {
	config := kustomize(t, "default")
	deployment := decode[appsv1.Deployment](t, config[deploymentKey])
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	if *deployment.Spec.Replicas != 2 {
		t.Errorf("%d replicas, not 2", *deployment.Spec.Replicas)
	}
	if !ptr.Deref(container.SecurityContext.ReadOnlyRootFilesystem, false) {
		t.Error("the root file system can be written")
	}
	if container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
		t.Errorf("requests of CPU and memory and a limit of memory are not all set: %v", container.Resources)
	}
	for name, probe := range map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Path != name || probe.HTTPGet.Port != intstr.FromString("probes") {
			t.Errorf("no probe of %s: %v", name, probe)
		}
	}
	if len(pod.TopologySpreadConstraints) == 0 {
		t.Error("nothing spreads the replicas over nodes")
	}
	if len(container.Args) == 0 || strings.Contains(strings.Join(container.Args, " "), "--metrics-secure=false") {
		t.Errorf("metrics are served to everybody: %v", container.Args)
	}
}
