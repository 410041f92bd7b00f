package cache

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/display"
	"imagecache.dev/internal/inspect"
	"imagecache.dev/test/terminal"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// printed runs a print function into a pipe.
func printed(t *testing.T, do func(streams cli.Streams) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := do(cli.Streams{Out: &out, Err: &out}); err != nil {
		t.Error(err)
	}
	return out.String()
}

var someImages = []catalog.Image{
	{Hash: strings.Repeat("4f3c21a9", 8), Digest: "sha256:1", SizeBytes: ptr.To(int64(45_200_000)), PushedAt: ptr.To(noon.Add(-3 * time.Hour)),
		ExpiresAt: ptr.To(noon.Add(29 * 24 * time.Hour)), LastPulledAt: ptr.To(noon.Add(-5 * time.Minute)), BuildSeconds: ptr.To(int64(225)), Environment: "env-1", Pulls: 7},
	{Hash: strings.Repeat("ab", 32), Digest: "sha256:2", Archived: true},
}

func TestImagesTable(t *testing.T) {
	got := printed(t, func(s cli.Streams) error { return printImages(s, &cli.Output{}, someImages, noon) })
	wantOutput(t, "table", got, `
HASH           SIZE        PUSHED      EXPIRES    LAST PULLED   BUILD       ENVIRONMENT
4f3c21a94f3c   45.2 MB     3h          29d        5m            3m45s       env-1
abababababab   <unknown>   <unknown>   archived   never         <unknown>   <unknown>`)
	wide := printed(t, func(s cli.Streams) error {
		return printImages(s, &cli.Output{Format: "wide", NoHeaders: true}, someImages[:1], noon)
	})
	wantOutput(t, "wide table", strings.Join(strings.Fields(wide), " "), strings.Repeat("4f3c21a9", 8)+" 45.2 MB 3h 29d 5m 7 3m45s env-1 <none> sha256:1 <unknown>")
	due := someImages[0]
	due.PushedAt, due.ExpiresAt = ptr.To(noon.Add(-27*24*time.Hour)), ptr.To(noon.Add(3*24*time.Hour))
	due.Findings = map[string]int32{"LOW": 3, "CRITICAL": 1, "MEDIUM": 0}
	scanned := printed(t, func(s cli.Streams) error {
		return printImages(s, &cli.Output{Format: "wide", NoHeaders: true}, []catalog.Image{due}, noon)
	})
	for _, want := range []string{"3d, due", "1 critical, 3 low"} {
		if !strings.Contains(scanned, want) {
			t.Errorf("%s lacks %q", scanned, want)
		}
	}
	if text := display.Findings(map[string]int32{}); text != "none" {
		t.Errorf("without findings: %q", text)
	}
}

func TestImagesForPrograms(t *testing.T) {
	var fromJSON, fromYAML []catalog.Image
	asJSON := printed(t, func(s cli.Streams) error { return printImages(s, &cli.Output{Format: "json"}, someImages, noon) })
	if err := json.Unmarshal([]byte(asJSON), &fromJSON); err != nil || len(fromJSON) != 2 || *fromJSON[0].BuildSeconds != 225 {
		t.Errorf("JSON %s: %v", asJSON, err)
	}
	asYAML := printed(t, func(s cli.Streams) error { return printImages(s, &cli.Output{Format: "yaml"}, someImages, noon) })
	if err := yaml.Unmarshal([]byte(asYAML), &fromYAML); err != nil || len(fromYAML) != 2 || fromYAML[0].Hash != someImages[0].Hash {
		t.Errorf("YAML %s: %v", asYAML, err)
	}
}

func TestEmptyTablesSaySoOnStandardError(t *testing.T) {
	var out, errors bytes.Buffer
	if err := printImages(cli.Streams{Out: &out, Err: &errors}, &cli.Output{}, nil, noon); err != nil || out.Len() > 0 || errors.String() != "No images found.\n" {
		t.Errorf("%v, %q, %q", err, &out, &errors)
	}
}

func TestProjectsTable(t *testing.T) {
	projects := []catalog.Project{
		{Namespace: "a", Name: "web", ProjectID: "web-id", Requests: 4, Hits: 2, Misses: 1, HitRate: ptr.To(2.0 / 3), SavedSeconds: 7200,
			Images: ptr.To(int64(3)), SizeBytes: ptr.To(int64(1_500_000_000)), EstimatedMonthlyCostUSD: "0.15", Ready: "True", Reason: "Succeeded"},
		{Namespace: "b", Name: "new", Ready: "False", Reason: "WaitingForRunner"},
	}
	got := printed(t, func(s cli.Streams) error { return printProjects(s, &cli.Output{}, projects, true) })
	wantOutput(t, "table", got, `
NAMESPACE   PROJECT   REQUESTS   HIT RATE   SAVED   IMAGES      SIZE        USD/MONTH   READY   REASON
a           web       4          67 %       120m    3           1.5 GB      0.15        True    Succeeded
b           new       0          <none>     0s      <unknown>   <unknown>   <unknown>   False   WaitingForRunner`)
}

func TestExplain(t *testing.T) {
	request := &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Name: "env-2-4f3c21a9-x", CreationTimestamp: metav1.NewTime(noon.Add(-2 * time.Minute))},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: "env-2", Trigger: v1alpha1.TriggerEnvironmentCreated,
			Platform: "linux/amd64", ConfigurationType: v1alpha1.ConfigurationDockerfile, ConfigHash: "4f3c",
			Inputs: []v1alpha1.KeyInput{{Name: "Dockerfile", Digest: "sha256:d"}},
			Build:  &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(int64(12)), Message: "RUN false"},
		},
		Status: v1alpha1.DevcontainerImageStatus{
			ConfigHash: "4f3c", CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound,
			Explanation: "Dockerfile differs from the image of 3 h ago", Role: v1alpha1.RoleBuilder,
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonBuildFailed,
				Message: "RUN false", LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute))}},
		},
	}
	got := printed(t, func(s cli.Streams) error { return explain(s, request, noon) })
	wantOutput(t, "explanation", got, `
Request:        env-2-4f3c21a9-x, 2m ago
Environment:    env-2 (EnvironmentCreated)
Project:        web
Configuration:  Dockerfile, linux/amd64
Hash:           4f3c
Answer:         Miss (ImageNotFound)
Why:            Dockerfile differs from the image of 3 h ago
Role:           Builder
Build:          Failed in 12s RUN false

CONDITION   STATUS   REASON        FOR   MESSAGE
Stalled     True     BuildFailed   60s   RUN false

INPUT        DIGEST
Dockerfile   sha256:d

What to do: Correct what the builder's message names; the environment's log has its output.`)
}

var someFindings = []inspect.Finding{
	{Area: "Cluster", Check: "reachable", Result: inspect.ResultOK, Message: "https://c"},
	{Area: "Cluster", Check: "clock", Result: inspect.ResultWarning, Message: "this machine's clock differs by 40s from the cluster's clock", Advice: "set it"},
	{Area: "AWS", Check: "identity", Result: inspect.ResultSkipped, Message: "no credentials here"},
}

func TestDoctorInAPipe(t *testing.T) {
	got := printed(t, func(s cli.Streams) error { return printFindings(s, &cli.Output{}, someFindings) })
	wantOutput(t, "findings", got, `
Cluster
  ✓ reachable                https://c
  ! clock                    this machine's clock differs by 40s from the cluster's clock
                             → set it
AWS
  - identity                 no credentials here`)
}

func TestDoctorOnATerminalHasColours(t *testing.T) {
	show := func(tty *os.File) {
		if err := printFindings(cli.Streams{Out: tty}, &cli.Output{}, someFindings); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if got := terminal.Show(t, show); !strings.Contains(got, "\x1b[1mCluster\x1b[0m") || !strings.Contains(got, "\x1b[32m✓\x1b[0m") {
		t.Errorf("no colours: %q", got)
	}
	t.Setenv("NO_COLOR", "1")
	if got := terminal.Show(t, show); strings.Contains(got, "\x1b[") {
		t.Errorf("colours in spite of NO_COLOR: %q", got)
	}
}

func TestDoctorFailsWithAFailedCheck(t *testing.T) {
	var out bytes.Buffer
	err := printFindings(cli.Streams{Out: &out}, &cli.Output{Format: "json"}, []inspect.Finding{{Result: inspect.ResultFailed}})
	if code := cli.ExitCode(err, &out); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
}

// wantOutput compares an output with what it should be.
func wantOutput(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
