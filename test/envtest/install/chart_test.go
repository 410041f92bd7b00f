package install

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestChartRendersWhatConfigDefaultRenders holds the chart, with its default values, against config/default, object by
// object. What may differ is in this file, with the reason; everything else is an error.
func TestChartRendersWhatConfigDefaultRenders(t *testing.T) {
	config := kustomize(t, "default")
	fromChart := objects(t, helm(t, templateArgs()...))

	// Helm makes the namespace before a release, with --create-namespace, and refuses one that is in the release.
	delete(config, "Namespace /"+namespace)

	if len(config) < 15 {
		t.Errorf("config/default has %d objects: too few to be all", len(config))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(config)), slices.Sorted(maps.Keys(fromChart))); diff != "" {
		t.Fatalf("other objects (-config +chart):\n%s", diff)
	}
	for key, wanted := range config {
		got := fromChart[key]
		removeReleaseMarks(t, key, wanted, got)
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", key, diff)
		}
	}
}

// TestMonitoringIsThatOfConfigPrometheus: off by default, because the Prometheus operator's kinds may not be there.
func TestMonitoringIsThatOfConfigPrometheus(t *testing.T) {
	without := render(t, "{}")
	with := render(t, `metrics: {serviceMonitor: {enabled: true, labels: {release: kube}}, prometheusRule: {enabled: true, labels: {role: alerts}}}`)
	config := kustomize(t, "prometheus")
	if len(with) != len(without)+len(config) {
		t.Errorf("%d objects more, not %d", len(with)-len(without), len(config))
	}
	for key, wanted := range config {
		if without[key] != nil {
			t.Errorf("%s is there by default", key)
		}
		got := with[key]
		for name, value := range map[string]string{"ServiceMonitor": "release=kube", "PrometheusRule": "role=alerts"} {
			label, text, _ := strings.Cut(value, "=")
			if wanted["kind"] == name {
				if below(got, "metadata", "labels")[label] != text {
					t.Errorf("%s has not the label %s: %v", key, value, below(got, "metadata", "labels"))
				}
				delete(below(got, "metadata", "labels"), label)
			}
		}
		removeReleaseMarks(t, key, wanted, got)
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", key, diff)
		}
	}
}

// kustomize renders a folder of config.
func kustomize(t *testing.T, folder string) map[string]object {
	t.Helper()
	return objects(t, must(t, "", filepath.Join(root, "bin", "kustomize"), "build", filepath.Join(root, "config", folder)))
}

// removeReleaseMarks takes from a chart's object what tells that it belongs to a release.
func removeReleaseMarks(t *testing.T, key string, config, fromChart object) {
	t.Helper()
	labels := below(fromChart, "metadata", "labels")
	// Helm's conventions; people and other tools find the objects of a release by them.
	for name, value := range map[string]string{
		"app.kubernetes.io/instance": release, "app.kubernetes.io/managed-by": "Helm",
		"app.kubernetes.io/version": "0.1.0", "helm.sh/chart": "devcontainer-image-cache-0.1.0",
	} {
		if labels[name] != value {
			t.Errorf("%s has the label %s=%v, not %s", key, name, labels[name], value)
		}
		delete(labels, name)
	}
	// controller-gen sets no labels, so CRDs and the manager's role have none in config; the chart says whose they are.
	if below(config, "metadata", "labels") == nil {
		delete(labels, "app.kubernetes.io/name")
	}
	if len(labels) == 0 {
		delete(below(fromChart, "metadata"), "labels")
	}
	// Removing a release must not remove every object of the three kinds, and with them images.
	if config["kind"] == "CustomResourceDefinition" {
		annotations := below(fromChart, "metadata", "annotations")
		if annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s is not kept when the release is removed", key)
		}
		delete(annotations, "helm.sh/resource-policy")
	}
}

// below is an object within an object, nil if it is not there.
func below(o object, path ...string) object {
	for _, name := range path {
		next, _ := o[name].(object)
		o = next
	}
	return o
}

func TestChartPassesHelmLint(t *testing.T) {
	helm(t, "lint", "--strict", chart, "--set", fromSource)
}
