package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// defaultArgs are the manager's arguments unless a value adds some.
var defaultArgs = []string{"--leader-elect", "--metrics-bind-address=:8443", "--health-probe-bind-address=:8081"}

const (
	deploymentKey = "Deployment " + namespace + "/imagecache-manager"
	accountKey    = "ServiceAccount " + namespace + "/imagecache-manager"
)

// render renders the chart with values, given as a YAML file.
func render(t *testing.T, values string, args ...string) map[string]object {
	t.Helper()
	return objects(t, helm(t, templateArgs(append([]string{"--values", valuesFile(t, values)}, args...)...)...))
}

func valuesFile(t *testing.T, values string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// decode reads an object into its type, and fails on a field that the type has not.
func decode[T any](t *testing.T, o object) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o, &typed, true); err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestValuesOfThePod(t *testing.T) {
	deployment := decode[appsv1.Deployment](t, render(t, `
replicas: 3
resources: {requests: {cpu: 2, memory: 1Gi}}
podAnnotations: {sidecar.istio.io/inject: "false"}
podLabels: {team: platform}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
topologySpreadConstraints: [{maxSkew: 2, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}]
image: {pullPolicy: Always, pullSecrets: [registry]}
serviceAccount: {create: false, name: made-elsewhere}
`)[deploymentKey])
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]
	got := map[string]any{
		"replicas": *deployment.Spec.Replicas, "cpu": container.Resources.Requests.Cpu().String(),
		"limits":      len(container.Resources.Limits), // a given map is merged with the defaults
		"annotations": pod.Annotations, "team": pod.Labels["team"], "priority": pod.Spec.PriorityClassName,
		"nodes": pod.Spec.NodeSelector, "tolerations": pod.Spec.Tolerations[0].Key,
		"affinity": pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions[0].Key,
		"spread":   pod.Spec.TopologySpreadConstraints[0].TopologyKey, "constraints": len(pod.Spec.TopologySpreadConstraints),
		"pull": container.ImagePullPolicy, "secrets": pod.Spec.ImagePullSecrets, "account": pod.Spec.ServiceAccountName,
	}
	wanted := map[string]any{
		"replicas": int32(3), "cpu": "2", "limits": 1,
		"annotations": map[string]string{"sidecar.istio.io/inject": "false"}, "team": "platform", "priority": "system-cluster-critical",
		"nodes": map[string]string{"kubernetes.io/os": "linux"}, "tolerations": "dedicated", "affinity": "a",
		"spread": "topology.kubernetes.io/zone", "constraints": 1,
		"pull": corev1.PullAlways, "secrets": []corev1.LocalObjectReference{{Name: "registry"}}, "account": "made-elsewhere",
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-wanted +got):\n%s", diff)
	}
}

func TestValuesOfTheManager(t *testing.T) {
	deployment := decode[appsv1.Deployment](t, render(t, `
manager:
  logLevel: debug
  logFormat: console
  clusterUID: prod-1
  pricePerGBMonth: 0.12
  buildLease: 1m30s
  signingKey: awskms:///alias/imagecache
  allowAssumeRoles: ["team-a=arn:aws:iam::111122223333:role/cache", "*=arn:aws:iam::111122223333:role/all"]
  extraArgs: [--metrics-secure=false]
  env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
aws: {region: eu-central-1, useFIPSEndpoints: true, useDualStackEndpoints: true}
`)[deploymentKey])
	container := deployment.Spec.Template.Spec.Containers[0]
	wantedArgs := append(append([]string{}, defaultArgs...), "--log-level=debug", "--log-format=console", "--cluster-uid=prod-1",
		"--price-per-gb-month=0.12", "--build-lease=1m30s", "--signing-key=awskms:///alias/imagecache",
		"--allow-assume-role=team-a=arn:aws:iam::111122223333:role/cache", "--allow-assume-role=*=arn:aws:iam::111122223333:role/all",
		"--metrics-secure=false")
	if diff := cmp.Diff(wantedArgs, container.Args); diff != "" {
		t.Errorf("arguments (-wanted +got):\n%s", diff)
	}
	wantedEnv := []corev1.EnvVar{
		{Name: "AWS_REGION", Value: "eu-central-1"}, {Name: "AWS_USE_FIPS_ENDPOINT", Value: "true"},
		{Name: "AWS_USE_DUALSTACK_ENDPOINT", Value: "true"}, {Name: "HTTPS_PROXY", Value: "http://proxy:3128"},
	}
	if diff := cmp.Diff(wantedEnv, container.Env); diff != "" {
		t.Errorf("variables (-wanted +got):\n%s", diff)
	}
	managerStartsWith(t, container.Args)
}

// managerStartsWith is an error if the program does not know an argument: it must come as far as looking for a cluster.
func managerStartsWith(t *testing.T, args []string) {
	t.Helper()
	_, err := output(t, "", filepath.Join(root, "bin", "manager"), append(args, "--kubeconfig-is-no-flag")...)
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --kubeconfig-is-no-flag") {
		t.Errorf("the manager complains of another argument first: %v", err)
	}
}

func TestValuesOfTheImage(t *testing.T) {
	const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for values, wanted := range map[string]string{
		"image.repository=r.example/manager":                              "r.example/manager:0.1.0",
		"image.repository=r.example/manager,image.tag=v2":                 "r.example/manager:v2",
		"image.repository=r.example/manager,image.digest=" + digest:       "r.example/manager@" + digest,
		"image.repository=r.example:5000/manager,image.tag=" + "latest-1": "r.example:5000/manager:latest-1",
	} {
		deployment := decode[appsv1.Deployment](t, render(t, "{}", "--set", values)[deploymentKey])
		if got := deployment.Spec.Template.Spec.Containers[0].Image; got != wanted {
			t.Errorf("%s: image %s, not %s", values, got, wanted)
		}
	}
}

func TestServiceAccountCanCarryARole(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/imagecache-controller"
	rendered := render(t, "serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "+role+"}}")
	if got := decode[corev1.ServiceAccount](t, rendered[accountKey]).Annotations["eks.amazonaws.com/role-arn"]; got != role {
		t.Errorf("the service account's role is %q", got)
	}
	if _, there := render(t, "serviceAccount: {create: false}")[accountKey]; there {
		t.Error("a service account is made with create=false")
	}
}

func TestReleaseIsInItsNamespace(t *testing.T) {
	rendered := objects(t, helm(t, "template", release, chart, "--namespace", "elsewhere", "--set", fromSource, "--set", "serviceAccount.name=sa"))
	var bindings int
	for key, o := range rendered {
		if strings.Contains(fmt.Sprint(o), namespace) {
			t.Errorf("%s names the namespace %s", key, namespace)
		}
		subjects, _ := o["subjects"].([]any)
		for _, subject := range subjects {
			bindings++
			if diff := cmp.Diff(object{"kind": "ServiceAccount", "name": "sa", "namespace": "elsewhere"}, subject); diff != "" {
				t.Errorf("%s is bound to another (-wanted +got):\n%s", key, diff)
			}
		}
	}
	if bindings != 3 {
		t.Errorf("%d subjects of bindings, not those of the manager, of its leader election and of its signing keys", bindings)
	}
}

func TestParts(t *testing.T) {
	all := render(t, "{}")
	for values, absent := range map[string]string{
		"networkPolicy: {enabled: false}":       "NetworkPolicy " + namespace + "/imagecache-manager",
		"podDisruptionBudget: {enabled: false}": "PodDisruptionBudget " + namespace + "/imagecache-manager",
		"crds: {install: false}":                "CustomResourceDefinition /projectimagecaches.imagecache.dev",
	} {
		if all[absent] == nil {
			t.Errorf("%s is not there by default", absent)
		}
		if render(t, values)[absent] != nil {
			t.Errorf("%s is there with %s", absent, values)
		}
	}
	crd := render(t, "crds: {keep: false}")["CustomResourceDefinition /projectimagecaches.imagecache.dev"]
	if _, kept := below(crd, "metadata", "annotations")["helm.sh/resource-policy"]; kept {
		t.Error("a CRD is kept with crds.keep=false")
	}
}

// TestBadValueIsRefused: each bad value is named, with what is wrong about it.
func TestBadValueIsRefused(t *testing.T) {
	for values, wanted := range map[string]string{
		"image.repository=":                       `image.repository is empty: set it to where "make images" pushed the manager`,
		"replicas=two":                            "at '/replicas': got string, want integer",
		"manager.logLevel=loud":                   "at '/manager/logLevel': value must be one of 'info', 'debug'",
		"manager.allowAssumeRoles={team-a}":       "at '/manager/allowAssumeRoles/0': 'team-a' does not match pattern",
		"manager.buildLease=soon":                 "at '/manager/buildLease': 'soon' does not match pattern",
		"manager.signingKey=alias/imagecache":     "at '/manager/signingKey': 'alias/imagecache' does not match pattern",
		"manager.pricePerGBMonth=-1":              "at '/manager/pricePerGBMonth': minimum: got -1, want 0",
		"aws.region=Frankfurt":                    "at '/aws/region': 'Frankfurt' does not match pattern",
		"image.digest=sha256:12":                  "at '/image/digest': 'sha256:12' does not match pattern",
		"logLevel=debug":                          "additional properties 'logLevel' not allowed",
		"serviceAccount.name=":                    "at '/serviceAccount/name': minLength: got 0, want 1",
		"metrics.prometheusRule.enabled=probably": "at '/metrics/prometheusRule/enabled': got string, want boolean",
	} {
		_, err := output(t, "", filepath.Join(root, "bin", "helm"), templateArgs("--set", values)...)
		if err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: the complaint is not %q: %v", values, wanted, err)
		}
	}
}
