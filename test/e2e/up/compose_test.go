package up

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"imagecache.dev/test/engine"
)

// composeProject is the name that Docker Compose gives the project of every workspace of this package.
const composeProject = "space_devcontainer"

func (c comparison) project() string {
	if c.compose && !c.byDefault {
		return composed
	}
	return project
}

// removeProject removes the containers, networks and volumes of the workspace's project.
func (p *place) removeProject(t *testing.T) {
	t.Helper()
	filter := "label=com.docker.compose.project=" + composeProject
	for _, kind := range []struct {
		list, remove []string
	}{
		{[]string{"ps", "--all", "--quiet"}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--quiet"}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "--quiet"}, []string{"volume", "rm"}},
	} {
		found := strings.Fields(p.engine.Run(t, append(kind.list, "--filter", filter)...))
		if len(found) > 0 {
			p.engine.Run(t, append(kind.remove, found...)...)
		}
	}
}

// composeComparisons are configurations of Docker Compose whose containers are compared.
var composeComparisons = map[string]comparison{
	"an image with a Feature, and a service that is built": {
		config: `{"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/w", "features": {"./tool": {}},
			"onCreateCommand": "«own $OF_FEATURE»", "postStartCommand": "«start»; cat /installed >> log", "remoteEnv": {"R": "r"}}`,
		files: files(composeFile(`
  app: {image: <base>, command: sleep 100000, volumes: ["..:/w"], depends_on: [worker, db]}
  worker: {build: ../worker, command: sleep 100000}
  db: {image: <serving>}`), map[string]string{"worker/Dockerfile": "FROM " + baseImage + "\nRUN echo worker > /worker\n"},
			feature("tool", `, "onCreateCommand": "«feature»", "containerEnv": {"OF_FEATURE": "1"},
				"mounts": [{"type": "volume", "source": "tool-${devcontainerId}", "target": "/tool"}]`)),
	},
	"a Dockerfile, a user with other IDs and services that run": {
		config: `{"dockerComposeFile": ["compose.yml"], "service": "app", "workspaceFolder": "/w", "runServices": ["app"],
			"remoteUser": "dev", "postCreateCommand": "«$(id -u) $E»", "overrideCommand": true}`,
		files: files(composeFile(`
  app: {build: {context: ., target: wanted, args: {A: given}}, environment: {E: composed}, volumes: ["..:/w"]}
  other: {build: {context: missing}}`),
			dockerfile(baseImage, " AS wanted\nARG A\nRUN echo $A > /a\nFROM wanted\nRUN exit 1\n")),
	},
	"an image and its user alone": {
		config: `{"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/w", "postStartCommand": "«$(id -un)»"}`,
		files: composeFile(`
  app: {image: <base>, user: dev, command: sleep 100000, volumes: ["..:/w"]}`),
	},
}

func composeFile(services string) map[string]string {
	content := strings.NewReplacer("<base>", baseImage, "<serving>", servingImage).Replace("services:" + services + "\n")
	return map[string]string{".devcontainer/compose.yml": content}
}

// composeEngine is the engine that the tests of Docker Compose run on.
const composeEngine = engine.Docker28Containerd

func (m *machine) testDockerCompose(t *testing.T) {
	engine.RequireCompose(t, composeEngine)
	t.Run("containers are those of devcontainer up", m.testComposedContainers)
	t.Run("services come from the cache", m.testServicesFromTheCache)
	t.Run("services are not cached by default", m.testServicesByDefault)
	t.Run("services that end early leave nothing", m.testServicesThatEndEarly)
}

func (m *machine) testComposedContainers(t *testing.T) {
	for i, name := range slices.Sorted(maps.Keys(composeComparisons)) {
		test := composeComparisons[name]
		test.compose = true
		if !long() && i > 0 {
			continue
		}
		t.Run(name, func(t *testing.T) { compare(t, m.place(t, name, test), fmt.Sprintf("compose-%d", i)) })
	}
}

// services are a dev container with a Feature, a service that is built, and a database. Each build leaves a trace of its
// own.
func services() comparison {
	return comparison{
		compose: true,
		config: `{"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/w", "features": {"./tool": {}},
			"onCreateCommand": "«create»", "postCreateCommand": "«post-create»", "postStartCommand": "«start»"}`,
		files: files(composeFile(`
  app: {image: <base>, command: sleep 100000, volumes: ["..:/w"], depends_on: [worker, db]}
  worker: {build: ../worker, command: sleep 100000}
  db: {image: <serving>}`), map[string]string{
			"worker/Dockerfile": "FROM " + baseImage + "\nCOPY data /data\nRUN cat /proc/sys/kernel/random/uuid > /trace\n",
			"worker/data":       "1\n",
			".devcontainer/tool/devcontainer-feature.json": `{"id": "tool", "version": "1.0.0", "name": "tool", "onCreateCommand": "echo feature >> log"}`,
			".devcontainer/tool/install.sh":                "#!/bin/sh\nset -e\ncat /proc/sys/kernel/random/uuid > /trace\n",
		}),
	}
}

// traces are what the builds of the running services left, by service.
func (p *place) traces(t *testing.T) map[string]string {
	t.Helper()
	left := map[string]string{}
	for _, service := range []string{"app", "worker"} {
		id := p.engine.Run(t, "ps", "--quiet", "--filter", "label=com.docker.compose.service="+service)
		if id == "" {
			t.Fatalf("the service %s does not run", service)
		}
		left[service] = p.engine.Run(t, "exec", id, "cat", "/trace")
	}
	if p.engine.Run(t, "ps", "--quiet", "--filter", "label=com.docker.compose.service=db") == "" {
		t.Error("the database does not run")
	}
	return left
}

// outcomes are those of the services, by name, with the run's own under "".
func outcomes(t *testing.T, got ran) map[string]string {
	t.Helper()
	if got.code != 0 {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	result, _ := decoded(t, got.stdout)["cache"].(map[string]any)
	found := map[string]string{"": textOf(result["outcome"])}
	services, _ := result["services"].([]any)
	for _, service := range services {
		of, _ := service.(map[string]any)
		found[textOf(of["service"])] = textOf(of["outcome"])
	}
	return found
}

// builtByCompose are the images that Docker Compose built for the project under its own names.
func (p *place) builtByCompose(t *testing.T) string {
	t.Helper()
	return p.engine.Run(t, "images", "--quiet", "--filter", "reference="+composeProject+"*")
}

func (m *machine) testServicesFromTheCache(t *testing.T) {
	p := m.place(t, "services", services())
	want := func(step string, want, got any) {
		t.Helper()
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step, diff)
		}
	}
	created := []string{"feature", "create", "post-create", "start"}
	p.takeLog(t)

	want("miss", map[string]string{"": "Published", "app": "Published", "worker": "Published"}, outcomes(t, p.imagecache(t, "services-1")))
	first := p.traces(t)
	want("hooks after the miss", created, p.takeLog(t))

	p.remove(t)
	hit := p.imagecache(t, "services-2")
	want("hit", map[string]string{"": "Hit", "app": "Hit", "worker": "Hit"}, outcomes(t, hit))
	want("traces after the hit", first, p.traces(t))
	want("hooks after the hit", created, p.takeLog(t))
	want("images that Docker Compose built on the hit", "", p.builtByCompose(t))
	if !strings.Contains(hit.stderr, "not cached, because they have an image: db") {
		t.Errorf("the log does not name the database: %s", hit.stderr)
	}

	p.stop(t)
	p.removeNames(t, "imagecache.local/") // as somebody does who makes room
	want("restart", map[string]string{"": "Bypassed"}, outcomes(t, p.imagecache(t, "services-2")))
	want("traces after the restart", first, p.traces(t))
	want("hooks after the restart", []string{"start"}, p.takeLog(t))
	want("images that Docker Compose built on the restart", "", p.builtByCompose(t))

	p.remove(t)
	if err := os.WriteFile(filepath.Join(p.folder, "worker", "data"), []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A runner that calls the reference CLI itself.
	override := filepath.Join(t.TempDir(), "override.json")
	changed := p.run(t, filepath.Join(programs(), "imagecache"), "prepare", p.folder, "--project", composed,
		"--environment", "services-3", "--builder", "docker", "-o", "json", "--override-config", override)
	changed.stdout = `{"cache": ` + changed.stdout + `}`
	want("change", map[string]string{"": "Published", "app": "Hit", "worker": "Published"}, outcomes(t, changed))
	if up := p.devcontainer(t, "--override-config", override); up.code != 0 {
		t.Fatalf("devcontainer up: exit code %d: %s", up.code, up.stderr)
	}
	want("hooks after the change", created, p.takeLog(t))
	want("images that Docker Compose built after the change", "", p.builtByCompose(t))
	second := p.traces(t)
	if second["app"] != first["app"] || second["worker"] == first["worker"] {
		t.Errorf("traces %v, and %v before the worker's context changed", second, first)
	}
	p.remove(t)
}

func (m *machine) testServicesByDefault(t *testing.T) {
	test := services()
	test.byDefault = true
	p := m.place(t, "by default", test)
	p.takeLog(t)
	got := p.imagecache(t, "default-1")
	if found := outcomes(t, got); len(found) != 1 || found[""] != "Bypassed" {
		t.Errorf("outcomes %v", found)
	}
	if !strings.Contains(got.stderr, "spec.compose") {
		t.Errorf("the log does not name the setting: %s", got.stderr)
	}
	const fields = "jsonpath={range .items[*]}{.spec.environmentID} {.spec.service}{.spec.configHash}{\"\\n\"}{end}"
	requests, err := cluster.Kubectl(t.Context(), "get", "dci", "-n", namespace, "-o", fields)
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	for line := range strings.Lines(requests) {
		if strings.HasPrefix(line, "default-1 ") {
			own = append(own, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(own, []string{"default-1"}) {
		t.Errorf("requests %q, want one without a service and a hash", own)
	}
	p.traces(t)
	p.remove(t)
}
