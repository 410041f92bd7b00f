package envtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"imagecache.dev/api/v1alpha1"
)

// kubectl is the real one, in a namespace, as the cluster's administrator.
type kubectl struct {
	t                         *testing.T
	program, config, cacheDir string
}

func newKubectl(t *testing.T, namespace string) *kubectl {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "..", "bin", "k8s")
	}
	program, err := filepath.Abs(filepath.Join(assets, "kubectl"))
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: restConfig.Host, CertificateAuthorityData: restConfig.CAData}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: restConfig.CertData, ClientKeyData: restConfig.KeyData, Token: restConfig.BearerToken,
	}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: namespace}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return &kubectl{t: t, program: program, config: path, cacheDir: t.TempDir()}
}

// run runs kubectl and returns all that it printed.
func (k *kubectl) run(args ...string) (output string, err error) {
	k.t.Helper()
	command := exec.CommandContext(k.t.Context(), k.program, append([]string{"--kubeconfig", k.config, "--cache-dir", k.cacheDir}, args...)...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// must runs kubectl and fails the test unless it succeeds.
func (k *kubectl) must(args ...string) (output string) {
	k.t.Helper()
	output, err := k.run(args...)
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func samples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(configPath("samples", "*.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("found %d samples (%v)", len(files), err)
	}
	return files
}

// TestSamplesApply applies every sample as people do: client-side, twice; and server-side, twice.
func TestSamplesApply(t *testing.T) {
	for _, file := range samples(t) {
		for way, flags := range map[string][]string{
			"client-side": {"--validate=strict"},
			"server-side": {"--validate=strict", "--server-side"},
		} {
			t.Run(filepath.Base(file)+"/"+way, func(t *testing.T) {
				k := newKubectl(t, ownNamespace(t))
				apply := append([]string{"apply", "-f", file}, flags...)
				first := k.must(apply...)
				for _, object := range decodeFile(t, file) {
					name := strings.ToLower(object.GetKind()) + "." + v1alpha1.GroupVersion.Group + "/" + object.GetName()
					if !strings.Contains(first, name+" ") {
						t.Errorf("it says nothing of %s:\n%s", name, first)
					}
					if object.GetNamespace() != "" {
						t.Errorf("%s names a namespace; leave that to whoever applies it", name)
					}
				}
				if strings.Contains(first, "Warning") {
					t.Errorf("it warns:\n%s", first)
				}
				second := k.must(apply...)
				if way == "client-side" && strings.Count(second, " unchanged") != strings.Count(first, " created") {
					t.Errorf("applied again, it is not unchanged:\n%s", second)
				}
				if out, err := k.run("diff", "-f", file); err != nil {
					t.Errorf("what was applied differs from the sample: %v\n%s", err, out)
				}
			})
		}
	}
}

// TestSamplesCoverEverySituation holds that each thing a user may want to write stands in a sample.
func TestSamplesCoverEverySituation(t *testing.T) {
	kinds := map[string]bool{}
	var all strings.Builder
	for _, file := range samples(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
		for _, object := range decodeFile(t, file) {
			kinds[object.GetKind()] = true
		}
	}
	if len(kinds) != len(plainest) {
		t.Errorf("the samples have %d kinds, want %d", len(kinds), len(plainest))
	}
	for _, situation := range []string{
		"type: KMS", "tags:", "type: Provided", "cache: Disabled", "devcontainerJSON:",
		"cachePolicy: Refresh", "configHash:", "stackName:", "compose: Cached", "service:",
	} {
		if !strings.Contains(all.String(), situation) {
			t.Errorf("no sample has %q", situation)
		}
	}
}

// TestKubectlGet reads all kinds by their category, and each by its short name, with the columns that a person reads.
func TestKubectlGet(t *testing.T) {
	k := newKubectl(t, ownNamespace(t))
	for _, file := range samples(t) {
		k.must("apply", "-f", file)
	}
	all := k.must("get", "imagecache")
	for _, object := range []string{"runnerimagecache.imagecache.dev/demo", "projectimagecache.imagecache.dev/shop", "devcontainerimage.imagecache.dev/e-17"} {
		if !strings.Contains(all, object) {
			t.Errorf("kubectl get imagecache doesn't list %s:\n%s", object, all)
		}
	}
	for short, columns := range map[string]string{
		"ric": "NAME RUNNER REGION ACCOUNT CACHE PROJECTS READY REASON AGE",
		"pic": "NAME PROJECT RUNNER IMAGES USD/MONTH READY REASON AGE",
		"dci": "NAME PROJECT ENVIRONMENT SERVICE RESULT ROLE READY REASON SAVED(S) AGE",
	} {
		header, _, _ := strings.Cut(k.must("get", short), "\n")
		if got := strings.Join(strings.Fields(header), " "); got != columns {
			t.Errorf("kubectl get %s has the columns\n\t%s, want\n\t%s", short, got, columns)
		}
	}
	k.must("patch", "dci", "e-17", "--subresource=status", "--type=merge", "-p",
		`{"status":{"observedGeneration":1,"cacheResult":"Hit","savedSeconds":225,"conditions":[{"type":"Ready","status":"True","reason":"Hit","message":"found","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":1}]}}`)
	row := strings.Fields(k.must("get", "dci", "e-17", "--no-headers"))
	if got, want := strings.Join(row[:len(row)-1], " "), "e-17 shop e-17 Hit True Hit 225"; got != want {
		t.Errorf("the row reads %q, want %q and the age", got, want)
	}
	k.must("wait", "--for=condition=Ready", "--timeout=5s", "dci/e-17")
}

// TestExplainIsEnough holds what somebody who writes a runner has to find out with kubectl explain alone.
func TestExplainIsEnough(t *testing.T) {
	k := newKubectl(t, ownNamespace(t))
	for field, words := range map[string][]string{
		"dci":                           {"one environment's request", "answers in the status"},
		"dci.spec.build":                {"writes it once", "merge patch", "missingLayers", "verb report", "outcome", "manifest", "config", "durationSeconds", "-required-", "64 KiB", "128 KiB", "Succeeded", "Failed", "message"},
		"dci.spec.build.keyCoverage":    {"Complete", "Incomplete", "EnvironmentValues", "never published"},
		"dci.spec.uploadAttempt":        {"raises the number by one", "can only grow"},
		"dci.spec.configHash":           {"64 lowercase hex", "imagecache hash"},
		"dci.status.cacheResult":        {"Hit", "Miss", "Bypassed", "never changes"},
		"pic.spec.retentionDays":        {"1 to 365", "by default 30"},
		"pic.spec.keyInputs":            {"BuildContext", "BaseImages", "Features", "LocalEnv"},
		"pic.spec.compression":          {"Zstd", "Gzip", "before 23.0", "stay as they are"},
		"ric.spec.tier":                 {"set-tier", "Free", "Core", "Enterprise"},
		"ric.spec.cache":                {"Disabled", "tier Core or Enterprise"},
		"ric.status.observedGeneration": {"-1 until"},
	} {
		explained := strings.Join(strings.Fields(k.must("explain", field)), " ")
		for _, word := range words {
			if !strings.Contains(explained, word) {
				t.Errorf("kubectl explain %s doesn't say %q:\n%s", field, word, explained)
			}
		}
	}
}

// TestKubectlSaysWhatIsWrong shows what a person reads who applies a bad object.
func TestKubectlSaysWhatIsWrong(t *testing.T) {
	k := newKubectl(t, ownNamespace(t))
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte(`
apiVersion: imagecache.dev/v1alpha1
kind: RunnerImageCache
metadata:
  name: demo
spec:
  runnerID: demo
  region: us-east-1
  cache: Disabled
`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := k.run("apply", "-f", file)
	const want = `The RunnerImageCache "demo" is invalid: spec.cache: Invalid value: the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier`
	if err == nil || strings.TrimSpace(out) != want {
		t.Errorf("kubectl says (%v)\n\t%s, want\n\t%s", err, out, want)
	}
}
