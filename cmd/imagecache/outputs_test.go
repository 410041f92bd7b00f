package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	"imagecache.dev/test/terminal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Hashes of the images in the test's project.
var (
	firstHash  = strings.Repeat("4f3c21a9", 8)
	brokenHash = strings.Repeat("ab12", 16)
)

func pastTime(age time.Duration) metav1.Time {
	return metav1.NewTime(time.Now().Add(-age - time.Second/2))
}

func isTrue(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: pastTime(2 * time.Hour)}
}

// someObjects are a runner with two projects, and what three environments asked of the first.
func someObjects() []client.Object {
	image := func(hash, environment string, age time.Duration) *v1alpha1.CachedImage {
		return &v1alpha1.CachedImage{
			Reference: "registry.example/r@sha256:" + hash, Digest: "sha256:" + hash, SizeBytes: ptr.To(int64(45_200_000)),
			BuildSeconds: ptr.To(int64(225)), PushedAt: ptr.To(pastTime(age)), ExpiresAt: ptr.To(metav1.NewTime(pastTime(age).AddDate(0, 0, 30))),
		}
	}
	request := func(name, environment, hash string, age time.Duration, status v1alpha1.DevcontainerImageStatus) *v1alpha1.DevcontainerImage {
		status.ConfigHash, status.FinishedAt = hash, ptr.To(pastTime(age))
		return &v1alpha1.DevcontainerImage{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: pastTime(age), Generation: 1},
			Spec: v1alpha1.DevcontainerImageSpec{
				ProjectRef: &v1alpha1.ProjectReference{Name: "web"}, EnvironmentID: environment, Trigger: v1alpha1.TriggerEnvironmentCreated,
				Platform: "linux/amd64", ConfigurationType: v1alpha1.ConfigurationDockerfile, ConfigHash: hash,
				Inputs: []v1alpha1.KeyInput{{Name: "devcontainer.json", Digest: "sha256:1"}, {Name: "Dockerfile", Digest: "sha256:" + hash[:4]}},
			},
			Status: status,
		}
	}
	first := request("env-1-4f3c21a9-a", "env-1", firstHash, 5*time.Hour, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder, Image: image(firstHash, "env-1", 5*time.Hour),
		Conditions: []metav1.Condition{
			isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonPublished, "published"), isTrue(v1alpha1.ConditionPublished, v1alpha1.ReasonPublished, "published"),
		},
	})
	first.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, DurationSeconds: ptr.To(int64(225))}
	second := request("env-2-4f3c21a9-b", "env-2", firstHash, 3*time.Hour, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Explanation: "found the image of 2 h ago (environment env-1)",
		Image: image(firstHash, "env-1", 5*time.Hour), SavedSeconds: ptr.To(int64(213)),
		Conditions: []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonHit, "found")},
	})
	second.Spec.Pull = &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded, DurationSeconds: ptr.To(int64(12))}
	broken := request("env-3-ab12ab12-c", "env-3", brokenHash, time.Hour, v1alpha1.DevcontainerImageStatus{
		CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder,
		Explanation: "Dockerfile differs from the image of 4 h ago (environment env-1)",
		Conditions:  []metav1.Condition{isTrue(v1alpha1.ConditionStalled, v1alpha1.ReasonBuildFailed, "RUN make: exit status 2")},
	})
	broken.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To(int64(31)), Message: "RUN make: exit status 2"}
	project := func(name, id string, status v1alpha1.ProjectImageCacheStatus) *v1alpha1.ProjectImageCache {
		status.ObservedGeneration = 1
		return &v1alpha1.ProjectImageCache{
			ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Status: status,
			Spec: v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: id},
		}
	}
	web := project("web", "web-id", v1alpha1.ProjectImageCacheStatus{
		Repository:      &v1alpha1.RepositoryStatus{Name: "r", URI: "registry.example/r"},
		PullCredentials: &v1alpha1.CredentialReference{SecretName: "pull-web", ExpiresAt: metav1.NewTime(time.Now().Add(time.Hour))},
		Conditions:      []metav1.Condition{isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonSucceeded, "")},
	})
	web.Spec.Compose = v1alpha1.ComposePolicyCached
	return append([]client.Object{
		&v1alpha1.RunnerImageCache{
			ObjectMeta: metav1.ObjectMeta{Name: "demo", Generation: 1}, Spec: v1alpha1.RunnerImageCacheSpec{RunnerID: "demo", Region: "us-east-1"},
			Status: v1alpha1.RunnerImageCacheStatus{ObservedGeneration: 1, Conditions: []metav1.Condition{
				isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonSucceeded, ""), isTrue(v1alpha1.ConditionRolesReady, v1alpha1.ReasonSucceeded, "both roles can be assumed"),
			}},
		},
		project("docs", "docs-id", v1alpha1.ProjectImageCacheStatus{Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRepositoryNotOwned,
			Message: "the repository belongs to another", LastTransitionTime: pastTime(time.Hour),
		}}}),
		web, first, second, broken, loginSecret("pull-web", "registry.example"),
	}, composeRequests()...)
}

// loginSecret is a Secret with a login.
func loginSecret(name, registry string) *corev1.Secret {
	content, _ := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]any{"auth": []byte("AWS:s3cret")}}})
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: content},
	}
}

// outputCase is a command as a user types it.
type outputCase struct {
	args  string
	input string
	// program is the name under which it is called; empty: imagecache.
	program string
	code    int
	// colours says that a terminal gets colours, and a pipe the same without.
	colours bool
}

// outputCases are every command but prepare, which has tests of its own; their outputs are in testdata/outputs. WORKSPACE
// and OTHER stand for folders.
var outputCases = map[string]outputCase{
	"images":             {args: "images web --cluster-only"},
	"images-wide":        {args: "images web --cluster-only -o wide"},
	"images-by-id":       {args: "images web-id --cluster-only --no-headers"},
	"images-without-aws": {args: "images web"},
	"images-none":        {args: "images docs --cluster-only"},
	"images-none-json":   {args: "images docs --cluster-only -o json"},
	"images-unknown":     {args: "images nope", code: cli.ExitFailed},
	"projects":           {args: "projects"},
	"projects-all":       {args: "projects -A -o wide"},
	"projects-none":      {args: "projects -n empty"},
	"projects-none-json": {args: "projects -n empty -o json"},
	"explain-hit":        {args: "explain env-2"},
	"explain-failed":     {args: "explain env-3-ab12ab12-c"},
	"explain-services":   {args: "explain env-4"},
	"explain-unknown":    {args: "explain nobody", code: cli.ExitFailed},
	"evict":              {args: "evict web 4f3c21a9"},
	"evict-unknown":      {args: "evict web 0000", code: cli.ExitFailed},
	"evict-no-hash":      {args: "evict web xyz", code: cli.ExitUsage},
	"doctor":             {args: "doctor --cluster-only", colours: true},
	"doctor-project":     {args: "doctor docs --cluster-only", code: cli.ExitFailed, colours: true},
	"doctor-unknown":     {args: "doctor nope --cluster-only", code: cli.ExitFailed, colours: true},
	"hash":               {args: "hash WORKSPACE"},
	"hash-project":       {args: "hash WORKSPACE --project web"},
	"hash-explain":       {args: "hash --explain WORKSPACE"},
	"hash-diff":          {args: "hash --diff WORKSPACE OTHER"},
	"hash-diff-cached":   {args: "hash --diff cached:4f3c21a9 WORKSPACE --project web"},
	"hash-json":          {args: "hash -o json WORKSPACE"},
	"hash-nothing":       {args: "hash EMPTY", code: cli.ExitFailed},

	"hash-compose":             {args: "hash COMPOSE"},
	"hash-compose-explain":     {args: "hash --explain COMPOSE"},
	"hash-compose-cached":      {args: "hash --explain COMPOSE --project web"},
	"hash-compose-bypassed":    {args: "hash --explain COMPOSE --project docs"},
	"hash-compose-diff-cached": {args: "hash --diff cached:c0ffee00 COMPOSE --project web"},
	"hash-compose-diff-gone":   {args: "hash --diff cached:deadbeef COMPOSE --project web"},
	"hash-compose-json":        {args: "hash -o json COMPOSE"},
	"hash-compose-diff":        {args: "hash --diff COMPOSE SERVICES"},
	"hash-compose-diff-json":   {args: "hash --diff -o json COMPOSE SERVICES"},
	"hash-compose-diff-image":  {args: "hash --diff OTHER COMPOSE"},
	"hash-compose-no-service":  {args: "hash COMPOSE --config none.json", code: cli.ExitFailed},
	"hash-compose-other-files": {args: "hash COMPOSE --config missing.json", code: cli.ExitFailed},

	"credentials-list":  {args: "credentials list --project web"},
	"credentials-get":   {args: "credentials get --project web", input: "https://registry.example\n"},
	"credentials-other": {args: "credentials get --project web", input: "other.example\n", code: cli.ExitFailed},
	"credentials-none":  {args: "credentials list --project docs", code: cli.ExitFailed},
	"complete-projects": {args: "__complete images "},
	"complete-requests": {args: "__complete explain "},
	"completion-help":   {args: "completion --help"},
	"dashboard-help":    {args: "dashboard --help"},
	"dashboard-ports":   {args: "dashboard --listen :8443 --port 8443", code: cli.ExitUsage},
	"dashboard-key":     {args: "dashboard --listen :8443 --tls-certificate tls.crt", code: cli.ExitUsage},
	"dashboard-address": {args: "dashboard --prometheus prometheus:9090", code: cli.ExitUsage},
	"plugin":            {program: "kubectl-imagecache", args: "images web --cluster-only"},
	"plugin-help":       {program: "kubectl-imagecache", args: "images --help"},
	"version":           {args: "version"},
	"version-json":      {args: "version -o json"},
	"version-wrong":     {args: "version -o wide", code: cli.ExitUsage},
}

// outputWorld starts a cluster in a fixed state, and returns what stands for the words in the cases.
func outputWorld(t *testing.T) map[string]string {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "IMAGECACHE_") {
			t.Setenv(name, "")
		}
	}
	// No container engine and no AWS credentials, whatever this machine has.
	t.Setenv("PATH", "/nonexistent")
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
	server := newAPIServer(t, someObjects()...)
	server.evict = func(project map[string]any) {
		metadata, _ := project["metadata"].(map[string]any)
		delete(metadata, "annotations")
	}
	return map[string]string{
		"WORKSPACE": folder(t, map[string]string{".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}}`, ".devcontainer/Dockerfile": "FROM base\nCOPY go.mod /\n"}),
		"OTHER":     folder(t, map[string]string{".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}} // ours`, ".devcontainer/Dockerfile": "FROM base\n"}),
		"COMPOSE": folder(t, map[string]string{
			".devcontainer.json": `{"dockerComposeFile": "compose.yml", "service": "app"}`,
			"none.json":          `{"dockerComposeFile": "compose.yml"}`,
			"missing.json":       `{"dockerComposeFile": "../compose.yml", "service": "app"}`,
			"compose.yml":        "version: '3'\nservices:\n  web: {build: {context: web, ssh: [default]}}\n  app: {image: \"base:${TAG:-1}\"}\n  db: {image: postgres}\n",
			"web/Dockerfile":     "FROM base\n",
		}),
		"SERVICES": folder(t, map[string]string{
			".devcontainer.json": `{"dockerComposeFile": "compose.yml", "service": "app"}`,
			"compose.yml":        "services:\n  db: {build: db}\n  app: {image: \"base:2\"}\n",
			"db/Dockerfile":      "FROM base\n",
		}),
		"EMPTY":  t.TempDir(),
		"SERVER": serverOf(t, server.kubeconfig),
	}
}

func serverOf(t *testing.T, kubeconfig string) string {
	t.Helper()
	content, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`http://[0-9.:]+`).FindString(string(content))
}

// arguments are a case's, with folders in place of words.
func arguments(line string, words map[string]string) []string {
	args := []string{"imagecache"}
	for _, arg := range strings.Split(line, " ") {
		if folder, isWord := words[arg]; isWord {
			arg = folder
		}
		args = append(args, arg)
	}
	return args
}

var (
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	apart = regexp.MustCompile(`differs by \d+s`)
)

// settled replaces what differs from run to run.
func settled(text string, words map[string]string) string {
	for word, folder := range words {
		text = strings.ReplaceAll(text, folder, word)
	}
	if info := currentVersion(); strings.Contains(text, info.Version) { // what version prints is each build's own
		text = strings.NewReplacer(info.Version, "VERSION", info.Go, "GO", info.Platform, "PLATFORM").Replace(text)
	}
	text = apart.ReplaceAllString(text, "differs by 0s")
	return times.ReplaceAllString(text, "TIME")
}

// colour is how a terminal is told one: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ (SGR)
var colour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// golden compares an output with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "outputs", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what it was (go test -update writes it anew):\n%s\nwant:\n%s", file, got, want)
	}
}

func TestOutputsInAPipeAndOnATerminal(t *testing.T) {
	for name, test := range outputCases {
		t.Run(name, func(t *testing.T) {
			words := outputWorld(t)
			args := arguments(test.args, words)
			args[0] = cmp.Or(test.program, args[0])
			run := func(out *os.File) (code int, said string) {
				var stderr bytes.Buffer
				if out == nil {
					var stdout bytes.Buffer
					code = execute(context.Background(), cli.Streams{In: strings.NewReader(test.input), Out: &stdout, Err: &stderr}, args)
					return code, stdout.String() + stderr.String()
				}
				code = execute(context.Background(), cli.Streams{In: strings.NewReader(test.input), Out: out, Err: &stderr}, args)
				return code, stderr.String()
			}
			code, piped := run(nil)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if strings.ContainsRune(piped, '\x1b') {
				t.Errorf("a pipe gets colours: %q", piped)
			}
			golden(t, name, settled(piped, words))

			t.Setenv("TERM", "xterm")
			for _, noColor := range []string{"", "1"} {
				t.Setenv("NO_COLOR", noColor)
				var stderr string
				shown := terminal.Show(t, func(tty *os.File) { _, stderr = run(tty) })
				if has := colour.MatchString(shown); has != (test.colours && noColor == "") {
					t.Errorf("NO_COLOR=%q: colours %v in %q", noColor, has, shown)
				}
				if got, want := settled(colour.ReplaceAllString(shown, "")+stderr, words), settled(piped, words); got != want {
					t.Errorf("NO_COLOR=%q: a terminal shows\n%s\nand a pipe gets\n%s", noColor, got, want)
				}
			}
		})
	}
}

func TestEveryTableIsThereForPrograms(t *testing.T) {
	for name, args := range map[string]string{
		"images": "images web --cluster-only", "projects": "projects", "explain": "explain env-2", "doctor": "doctor --cluster-only", "version": "version",
	} {
		t.Run(name, func(t *testing.T) {
			words := outputWorld(t)
			var fromJSON, fromYAML any
			_, stdout, stderr := inPipe(t, "", arguments(args+" -o json", words)[1:]...)
			if err := json.Unmarshal([]byte(stdout), &fromJSON); err != nil || fromJSON == nil {
				t.Errorf("JSON %s %s: %v", stdout, stderr, err)
			}
			_, stdout, _ = inPipe(t, "", arguments(args+" -o yaml", words)[1:]...)
			if err := yaml.Unmarshal([]byte(stdout), &fromYAML); err != nil || strings.HasPrefix(stdout, "{") {
				t.Errorf("YAML %s: %v", stdout, err)
			}
		})
	}
}

func TestDoctorNamesMissingRights(t *testing.T) {
	server := newAPIServer(t, someObjects()...)
	server.denied = []string{"get secrets", "update leases"}
	code, stdout, _ := inPipe(t, "", "doctor", "--cluster-only")
	if code != cli.ExitFailed || !strings.Contains(stdout, "✗ rights") || !strings.Contains(stdout, "not allowed in namespace runner-demo: update leases, get secrets") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}

func TestEvictionThatNobodyCarriesOutIsSaid(t *testing.T) {
	newAPIServer(t, someObjects()...)
	code, stdout, stderr := inPipe(t, "", "evict", "web", firstHash, "--timeout", "300ms")
	if code != cli.ExitFailed || stdout != "" || !strings.Contains(stderr, "the controller did not remove it within 300ms; the request stays") {
		t.Errorf("exit code %d, %q %q", code, stdout, stderr)
	}
}
