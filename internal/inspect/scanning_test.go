package inspect

import (
	"strings"
	"testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/ecr"
)

func TestScanningNeedsBothTheRegistryAndTheRunner(t *testing.T) {
	ours, others := []string{"gitpod-runner-*"}, []string{"web"}
	for name, test := range map[string]struct {
		scanning v1alpha1.Scanning
		registry ecr.Scanning
		result   Result
		text     string
	}{
		"neither asks":                     {"", ecr.Scanning{}, "", ""},
		"basic scans":                      {"", ecr.Scanning{Filters: ours}, "", ""},
		"both ask":                         {v1alpha1.ScanningAmazonInspector, ecr.Scanning{Enhanced: true, Filters: ours}, ResultOK, "may read"},
		"the registry has basic scans":     {v1alpha1.ScanningAmazonInspector, ecr.Scanning{Filters: ours}, ResultWarning, "scan type is basic"},
		"the registry selects others":      {v1alpha1.ScanningAmazonInspector, ecr.Scanning{Enhanced: true, Filters: others}, ResultWarning, "no filter"},
		"the registry asks alone":          {"", ecr.Scanning{Enhanced: true, Filters: ours}, ResultWarning, "keeps it out"},
		"the registry asks for others":     {"", ecr.Scanning{Enhanced: true, Filters: others}, "", ""},
		"the registry selects no one, yet": {v1alpha1.ScanningAmazonInspector, ecr.Scanning{Enhanced: true}, ResultWarning, "no filter"},
	} {
		t.Run(name, func(t *testing.T) {
			result, text, advice := judgeScanning(test.scanning, test.registry, "gitpod-runner-r1/projects/p1/image-build")
			if result != test.result || !strings.Contains(text, test.text) || (result == ResultWarning) != (advice != "") {
				t.Errorf("judgeScanning = %q, %q, %q; want %q, …%s…", result, text, advice, test.result, test.text)
			}
		})
	}
}
