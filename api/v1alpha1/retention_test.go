package v1alpha1

import (
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func TestRetentionHasTheDefaultOfTheAPI(t *testing.T) {
	content, err := os.ReadFile("../../config/crd/imagecache.dev_projectimagecaches.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := map[string]any{}
	if err := yaml.Unmarshal(content, &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("the CRD has %d versions: %v", len(versions), err)
	}
	days, found, err := unstructured.NestedInt64(versions[0].(map[string]any),
		"schema", "openAPIV3Schema", "properties", "spec", "properties", "retentionDays", "default")
	if err != nil || !found {
		t.Fatalf("the CRD has no default for retentionDays: %v", err)
	}
	if got := (&ProjectImageCacheSpec{}).RetentionInDays(); int64(got) != days {
		t.Errorf("without retentionDays images live %d days, with the API's default %d", got, days)
	}
	one := int32(1)
	if got := (&ProjectImageCacheSpec{RetentionDays: &one}).Retention(); got != 24*time.Hour {
		t.Errorf("with retentionDays 1 images live %s", got)
	}
}
