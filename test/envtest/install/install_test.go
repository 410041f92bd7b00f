package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every program that is run, and every wait.
const patience = 60 * time.Second

const crd = "crd/projectimagecaches.imagecache.dev"

// TestInstallUpgradeUninstall takes one cluster through config/default, the same with Helm in its place, an upgrade of the
// chart and of a CRD, and the end of the release.
func TestInstallUpgradeUninstall(t *testing.T) {
	config := must(t, "", filepath.Join(root, "bin", "kustomize"), "build", filepath.Join(root, "config", "default"))
	// Warnings are errors: a field that is not known, or a pod that the namespace would refuse.
	kubectl(t, config, "apply", "--server-side", "--warnings-as-errors", "-f", "-")

	// The two flags are how a cluster that was set up by kubectl goes over to Helm.
	helm(t, "install", release, chart, "--namespace", namespace, "--set", fromSource, "--take-ownership", "--force-conflicts")
	if got := get(t, "deployment/imagecache-manager", "{.metadata.labels.app\\.kubernetes\\.io/managed-by} {.spec.replicas}"); got != "Helm 2" {
		t.Errorf("after the installation the deployment is of %q", got)
	}

	// An upgrade changes what is in the values, and CRDs, which Helm never does with those in crds/.
	next := t.TempDir()
	if err := os.CopyFS(next, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(next, "files", "crd", "imagecache.dev_projectimagecaches.yaml"), "kind: CustomResourceDefinition\nmetadata:\n", "kind: CustomResourceDefinition\nmetadata:\n  labels: {of-the-next: version}\n")
	// What kubectl applied once it owns still, as the API server sees it.
	helm(t, "upgrade", release, next, "--namespace", namespace, "--set", fromSource, "--set", "replicas=3", "--force-conflicts")
	if got := get(t, "deployment/imagecache-manager", "{.spec.replicas}"); got != "3" {
		t.Errorf("after the upgrade there are %s replicas, not 3", got)
	}
	if got := get(t, crd, "{.metadata.labels.of-the-next}"); got != "version" {
		t.Errorf("the CRD was not upgraded: its label is %q", got)
	}

	// CRDs stay, and with them every object: another release of the same name takes them up again.
	helm(t, "uninstall", release, "--namespace", namespace)
	if _, err := output(t, "", filepath.Join(programs, "kubectl"), "-n", namespace, "get", "deployment/imagecache-manager"); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("after the end of the release the deployment is there: %v", err)
	}
	if got := get(t, crd, "{.metadata.deletionTimestamp}"); got != "" {
		t.Errorf("the CRD is being deleted since %s", got)
	}
	helm(t, "install", release, chart, "--namespace", namespace, "--set", fromSource)
}

// get is a part of an object of the namespace.
func get(t *testing.T, object, path string) string {
	t.Helper()
	return kubectl(t, "", "--namespace", namespace, "get", object, "--output", "jsonpath="+path)
}

func edit(t *testing.T, file, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s does not have %q once", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
