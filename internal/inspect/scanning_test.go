package inspect

import (
	"strings"
	"testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

func TestScanningNeedsBothTheRegistryAndTheRunner(t *testing.T) {
	ours, others := []string{"gitpod-runner-*"}, []string{"web"}
	for name, test := range map[string]struct {
		admitted bool
		registry ecr.Scanning
		result   Result
		text     string
	}{
		"neither asks":                     {false, ecr.Scanning{}, "", ""},
		"basic scans":                      {false, ecr.Scanning{Filters: ours}, "", ""},
		"both ask":                         {true, ecr.Scanning{Enhanced: true, Filters: ours}, ResultOK, "may read"},
		"the registry has basic scans":     {true, ecr.Scanning{Filters: ours}, ResultWarning, "scan type is basic"},
		"the registry selects others":      {true, ecr.Scanning{Enhanced: true, Filters: others}, ResultWarning, "no filter"},
		"the registry asks alone":          {false, ecr.Scanning{Enhanced: true, Filters: ours}, ResultWarning, "keeps it out"},
		"the registry asks for others":     {false, ecr.Scanning{Enhanced: true, Filters: others}, "", ""},
		"the registry selects no one, yet": {true, ecr.Scanning{Enhanced: true}, ResultWarning, "no filter"},
	} {
		t.Run(name, func(t *testing.T) {
			result, text, advice := judgeScanning(test.admitted, test.registry, "gitpod-runner-r1/projects/p1/image-build")
			if result != test.result || !strings.Contains(text, test.text) || (result == ResultWarning) != (advice != "") {
				t.Errorf("judgeScanning = %q, %q, %q; want %q, …%s…", result, text, advice, test.result, test.text)
			}
		})
	}
}

func TestInspectorIsAdmittedByTheRunnerOrAsAReader(t *testing.T) {
	caller := aws.Identity{Partition: "aws", AccountID: "123456789012"}
	role := "arn:aws:iam::123456789012:role/aws-service-role/inspector2.amazonaws.com/AWSServiceRoleForAmazonInspector2"
	for name, test := range map[string]struct {
		scanning v1alpha1.Scanning
		readers  []string
		want     bool
	}{
		"nobody":         {"", []string{"arn:aws:iam::123456789012:role/scanner"}, false},
		"the runner":     {v1alpha1.ScanningAmazonInspector, nil, true},
		"as a reader":    {"", []string{role}, true},
		"of another one": {"", []string{strings.Replace(role, "123456789012", "210987654321", 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			runner, project := &v1alpha1.RunnerImageCache{}, &v1alpha1.ProjectImageCache{}
			runner.Spec.Scanning, project.Spec.Readers = test.scanning, test.readers
			if got := admitsInspector(caller, runner, project); got != test.want {
				t.Errorf("admitsInspector = %v, want %v", got, test.want)
			}
		})
	}
}
