package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestGettingStartedApplies gives the objects of docs/getting-started.md to the API server, as the page says.
func TestGettingStartedApplies(t *testing.T) {
	installCRDs(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "kubectl apply -n my-runner -f - <<'END'\n")
	objects, _, ended := strings.Cut(rest, "\nEND\n")
	if !found || !ended {
		t.Fatal("docs/getting-started.md has no objects to apply")
	}
	if err := kube.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "my-runner"}}); err != nil {
		t.Fatal(err)
	}
	printed := kubectl(t, objects, "apply", "-n", "my-runner", "-f", "-")
	for _, line := range []string{"runnerimagecache.imagecache.dev/main created", "projectimagecache.imagecache.dev/web created"} {
		if !strings.Contains(printed, line) {
			t.Errorf("kubectl does not say %q: %s", line, printed)
		}
	}
}
