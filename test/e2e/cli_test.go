package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/inspect"
	"imagecache.dev/internal/runner"
)

// person is a machine of somebody who may look at the cluster and at AWS.
func person(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.env = append(m.env, "KUBECONFIG="+cluster.AdminKubeconfig, "IMAGECACHE_NAMESPACE="+namespace)
	m.env = append(m.env, cluster.AWSEnvironment()...)
	return m
}

// published publishes an image and pulls it once, and returns its hash.
func published(t *testing.T, environment string) (hash string, pulled *machine, result runner.Result) {
	t.Helper()
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, newMachine(t).prepare(folder, environment), codePublished)
	pulled = newMachine(t)
	hit := pulled.prepare(folder, environment+"-again", "-o", "json")
	wants(t, hit, codeHit)
	if err := json.Unmarshal([]byte(hit.stdout), &result); err != nil {
		t.Fatal(err)
	}
	return result.Hash, pulled, result
}

func TestImagesProjectsAndExplainShowWhatHappened(t *testing.T) {
	hash, _, _ := published(t, "show-1")
	m := person(t)

	listed := m.imagecache("images", project, "-o", "json")
	wants(t, listed, 0)
	var images []catalog.Image
	if err := json.Unmarshal([]byte(listed.stdout), &images); err != nil {
		t.Fatal(err)
	}
	var image *catalog.Image
	for i := range images {
		if images[i].Hash == hash {
			image = &images[i]
		}
	}
	if image == nil || image.Environment != "show-1" || image.Pulls != 1 || image.BuildSeconds == nil || image.SizeBytes == nil || image.ExpiresAt == nil {
		t.Errorf("image %+v of %s", image, listed)
	}
	if listed.stderr != "" {
		t.Errorf("AWS could not be asked: %s", listed.stderr)
	}
	wants(t, m.imagecache("images", project), 0, "HASH", hash[:12], "show-1")
	wants(t, m.imagecache("images", project, "--cluster-only"), 0, hash[:12])
	wants(t, m.imagecache("projects"), 0, "HIT RATE", project, " %")
	wants(t, m.imagecache("explain", "show-1-again"), 0, "Answer:         Hit (ImageFound)", "Saved:")
	wants(t, m.imagecache("explain", "show-1"), 0, "Miss (", "Role:           Builder", "Published")
	wants(t, m.imagecache("explain", "nobody"), codeFailed, `no request "nobody"`)
}

func TestDoctorFindsAWorkingProjectWell(t *testing.T) {
	published(t, "doctor-1")
	m := person(t)
	got := m.imagecache("doctor", project, "-o", "json")
	var findings []inspect.Finding
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	checked := map[string]bool{}
	for _, finding := range findings {
		checked[finding.Area+" "+finding.Check] = finding.Result == inspect.ResultOK
		if finding.Result == inspect.ResultFailed {
			t.Errorf("failed: %+v", finding)
		}
	}
	for _, check := range []string{
		"Machine builder", "Cluster reachable", "Cluster clock", "Cluster rights", "Runner provider", "Runner RolesReady", "Project RepositoryReady",
		"Project credentials", "Project registry", "AWS identity", "AWS repository", "AWS immutable tags", "AWS lifecycle", "AWS tags", "AWS repository policy",
	} {
		if !checked[check] {
			t.Errorf("%s is not OK in %s", check, got.stdout)
		}
	}
	wants(t, m.imagecache("doctor", "nope"), codeFailed, `✗ object`, "apply a ProjectImageCache")

	// Until its role is excluded, what the manager reads counts as pulls.
	includeManager(t)
	wants(t, m.imagecache("doctor", project), 0, "register-pull-time-update-exclusion --principal-arn "+managerARN(t))
	excludeManager(t)
	wants(t, m.imagecache("doctor", project), 0, "ECR does not record what the controller reads")
}

func TestCredentialHelperLogsIn(t *testing.T) {
	_, m, result := published(t, "helper-1")
	registry, _, _ := strings.Cut(result.Reference, "/")
	m.env = append(m.env, "IMAGECACHE_PROJECT="+project)

	listed := m.imagecache("credentials", "list")
	wants(t, listed, 0, `{"`+registry+`":"AWS"}`)

	// As docker and podman call it: by its name, on PATH, with the registry on standard input.
	helpers := t.TempDir()
	if err := os.Symlink(filepath.Join(programs(), "imagecache"), filepath.Join(helpers, "docker-credential-imagecache")); err != nil {
		t.Fatal(err)
	}
	ask := m.command(filepath.Join(helpers, "docker-credential-imagecache"), "get")
	ask.Stdin = strings.NewReader("https://" + registry + "\n")
	got := m.finish(ask)
	var answer struct{ ServerURL, Username, Secret string }
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || answer.Username != "AWS" || answer.Secret == "" || answer.ServerURL != "https://"+registry {
		t.Errorf("%v: %v", err, got)
	}
	stranger := m.command(filepath.Join(helpers, "docker-credential-imagecache"), "get")
	stranger.Stdin = strings.NewReader("registry.example\n")
	wants(t, m.finish(stranger), 1, "credentials not found in native keychain")

	// The engine pulls with nothing but the helper.
	if err := os.WriteFile(filepath.Join(helpers, "config.json"), []byte(`{"credHelpers": {"`+registry+`": "imagecache"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, m.client("rmi", "--force", result.Image), 0)
	pull := m.clientCommand("pull", result.Reference)
	pull.Env = append(pull.Env, "PATH="+helpers+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+helpers, "REGISTRY_AUTH_FILE="+filepath.Join(helpers, "config.json"))
	wants(t, m.finish(pull), 0)
}

func TestAsAPluginOfKubectl(t *testing.T) {
	plugins := t.TempDir()
	if err := os.Symlink(filepath.Join(programs(), "imagecache"), filepath.Join(plugins, "kubectl-imagecache")); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	plugin := m.command(filepath.Join(assets(), "kubectl"), "imagecache", "projects", "-n", namespace, "--kubeconfig", cluster.AdminKubeconfig)
	plugin.Env = append(plugin.Env, "PATH="+plugins+":"+os.Getenv("PATH"))
	wants(t, m.finish(plugin), 0, "HIT RATE", project)
}

func TestPullIntoAFolderNeedsNoEngine(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, newMachine(t).prepare(folder, "oci-1"), codePublished)
	m := newMachine(t)
	m.env = append(m.env, "PATH=/nonexistent")
	layout := filepath.Join(t.TempDir(), "image")
	wants(t, m.prepare(folder, "oci-2", "--pull", "oci:"+layout), codeHit, savedLine, "Image:  oci:"+layout)
	index, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil || !strings.Contains(string(index), "sha256:") {
		t.Errorf("index %s: %v", index, err)
	}
}

func TestHashDiffWithACachedImage(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	m := newMachine(t)
	wants(t, m.prepare(folder, "diff-1"), codePublished)
	hash := strings.TrimSpace(m.imagecache("hash", folder, "--project", project).stdout)
	wants(t, m.imagecache("hash", "--diff", "cached:"+hash[:12], folder, "--project", project), 0, "The hash is the same: "+hash)
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer", "Dockerfile"), []byte(dockerfile+"# more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := m.imagecache("hash", "--diff", "cached:"+hash, folder, "--project", project)
	if got.stdout != "changed Dockerfile\n" {
		t.Errorf("got %v", got)
	}
	// The image tells its inputs once its request is gone.
	kubectl(t, "delete", "dci", "--field-selector", "spec.environmentID=diff-1")
	got = person(t).imagecache("hash", "--diff", "cached:"+hash[:12], folder, "--project", project)
	if got.stdout != "changed Dockerfile\n" {
		t.Errorf("without the request, got %v", got)
	}
}

func TestProjectNamesAreCompleted(t *testing.T) {
	m := person(t)
	wants(t, m.imagecache("__complete", "images", ""), 0, project+"\t"+project)
	wants(t, m.imagecache("__complete", "prepare", ".", "--project", ""), 0, project+"\t"+project)
}

// The hook is cached with the image, in its label, and never run by a build: it belongs to each environment.
func TestDevcontainerUpStartsFromTheCachedImage(t *testing.T) {
	built := workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "postCreateCommand": "echo once >> /hooks"} // ` + t.Name(),
		".devcontainer/Dockerfile":        "FROM busybox:stable\nRUN echo built > /built\n",
	})
	wants(t, newMachine(t).prepare(built, "up-1"), codePublished)
	m := newMachine(t)
	hit := m.prepare(built, "up-2", "-o", "name")
	wants(t, hit, codeHit)
	folder := workspace(t, map[string]string{
		".devcontainer.json": `{"image": "` + strings.TrimSpace(hit.stdout) + `",
			"runArgs": ["--network=host"], "overrideCommand": true, "updateRemoteUserUID": false}`,
	})
	var answer struct{ ContainerID string }
	for range 2 { // an environment that starts again is not created again
		up := m.run(os.Getenv("IMAGECACHE_DEVCONTAINER_CLI"), "up", "--workspace-folder", folder, "--docker-path", m.clientCommand().Path)
		wants(t, up, 0, `"outcome":"success"`)
		if strings.Contains(up.stderr, " build ") || strings.Contains(up.stderr, "STEP 1/") {
			t.Errorf("something was built: %v", up)
		}
		lines := strings.Split(strings.TrimSpace(up.stdout), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil {
			t.Fatal(err)
		}
	}
	hooks := m.client("exec", answer.ContainerID, "cat", "/built", "/hooks")
	if strings.TrimSpace(hooks.stdout) != "built\nonce" {
		t.Errorf("the container has %v", hooks)
	}
}
