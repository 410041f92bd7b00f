package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"imagecache.dev/internal/runner"
)

// cronJob is what the test reads of the CronJob in examples/.
type cronJob struct {
	Kind string
	Spec struct {
		JobTemplate struct {
			Spec struct {
				Template struct {
					Spec struct {
						ServiceAccountName string `yaml:"serviceAccountName"`
						Containers         []struct {
							Command []string
							Env     []struct{ Name, Value string }
						}
					}
				}
			}
		} `yaml:"jobTemplate"`
	}
}

// applyCronJob applies the example to the runner's namespace, and returns the CronJob and the kubeconfig of its pods.
func applyCronJob(t *testing.T) (job cronJob, kubeconfig string) {
	t.Helper()
	path := filepath.Join(root(), "examples", "kubernetes", "prebuild.yaml")
	kubectl(t, "apply", "-f", path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	for job.Kind != "CronJob" {
		job = cronJob{}
		if err := decoder.Decode(&job); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig, err = cluster.ServiceAccountKubeconfig(t.Context(), namespace, job.Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName)
	if err != nil {
		t.Fatal(err)
	}
	return job, kubeconfig
}

// as returns settings with which this machine's programs are somebody else to the cluster.
func as(kubeconfig string) []string { return []string{"KUBECONFIG=" + kubeconfig} }

// prepared provides an environment with its image, and returns the result.
func (m *machine) prepared(folder, environment string) (result runner.Result) {
	m.t.Helper()
	got := m.prepare(folder, environment, "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		m.t.Fatalf("%v: %v", err, got)
	}
	return result
}

// prebuildInCI runs what the examples for GitHub Actions and GitLab run, of a workspace whose two images exist.
func (m *machine) prebuildInCI(folder string, settings []string) {
	m.t.Helper()
	var action struct {
		Runs struct{ Steps []struct{ Name, Run string } }
	}
	var pipeline map[string]struct{ Script []string }
	for path, into := range map[string]any{"github-actions/prebuild/action.yml": &action, "gitlab/prebuild.yml": &pipeline} {
		content, err := os.ReadFile(filepath.Join(root(), "examples", path))
		if err == nil {
			err = yaml.Unmarshal(content, into)
		}
		if err != nil {
			m.t.Fatalf("%s: %v", path, err)
		}
	}
	page := filepath.Join(m.t.TempDir(), "page.md")
	scripts := map[string]string{filepath.Join(folder, "prebuild.md"): strings.Join(pipeline["prebuild dev containers"].Script, "\n")}
	for _, step := range action.Runs.Steps {
		if step.Name == "Prebuild" {
			scripts[page] = step.Run
		}
	}
	for summary, script := range scripts {
		job := m.withPrograms(m.command("bash", "-e", "-c", script), append(settings, "IMAGECACHE_ARGUMENTS=--due", "GITHUB_STEP_SUMMARY="+page))
		job.Dir = folder
		got := m.finish(job)
		wants(m.t, got, 0)
		table, err := os.ReadFile(summary)
		if err != nil || strings.Count(got.stdout, "Present") != 2 || strings.Count(string(table), "| Present |") != 2 {
			m.t.Errorf("%q: %v, the page is %q, %v", script, err, table, got)
		}
	}
}

// TestNobodyWaitsAfterAPrebuild takes a repository with two configurations from a nightly job to environments that hit.
func TestNobodyWaitsAfterAPrebuild(t *testing.T) {
	m := newMachine(t)
	hooked := filepath.Join(t.TempDir(), "hooked")
	folder := workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "initializeCommand": ["touch", "` + hooked + `"],
			"postCreateCommand": "exit 1"} // ` + t.Name(),
		".devcontainer/Dockerfile":            dockerfile,
		".devcontainer/data":                  "data",
		".devcontainer/api/devcontainer.json": `{"image": "busybox:stable"} // ` + t.Name(),
	})
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "t"},
	} {
		wants(t, m.run("git", append([]string{"-C", folder}, args...)...), 0)
	}
	job, ci := applyCronJob(t)
	container := job.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	settings := as(ci)
	for _, variable := range container.Env {
		if !slices.Contains([]string{"REPOSITORY", "IMAGECACHE_PROJECT", "DOCKER_HOST"}, variable.Name) {
			t.Errorf("the pod needs %s, which the test does not set", variable.Name)
		}
	}
	nightly := func() ran {
		t.Helper()
		command := m.withPrograms(m.command(container.Command[0], container.Command[1:]...), append(settings, "REPOSITORY="+folder))
		return m.finish(command)
	}

	first := nightly()
	wants(t, first, 0)
	for _, want := range []string{".devcontainer/devcontainer.json", "api"} {
		if !strings.Contains(first.stdout, want) {
			t.Errorf("the table has no row %s: %v", want, first)
		}
	}
	if strings.Count(first.stdout, "Published") != 2 {
		t.Errorf("want two published images: %v", first)
	}
	if _, err := os.Stat(hooked); err == nil {
		t.Error("a prebuild ran a lifecycle command")
	}
	second := nightly()
	wants(t, second, 0)
	if strings.Count(second.stdout, "Present") != 2 {
		t.Errorf("the second night has nothing to do: %v", second)
	}

	m.prebuildInCI(folder, settings)

	// A colleague's machine has nothing yet, and hits.
	other := newMachine(t)
	hit := other.prepared(folder, "after-prebuild")
	if hit.Outcome != runner.OutcomeHit {
		t.Errorf("the first environment's outcome is %s: %s", hit.Outcome, hit.Reason)
	}

	// Images that end within a week are due, and are replaced while environments use them.
	ageImages(t, project, 24)
	third := nightly()
	wants(t, third, 0)
	if strings.Count(third.stdout, "Replaced") != 2 {
		t.Errorf("want two images replaced: %v", third)
	}
	again := other.prepared(folder, "after-refresh")
	if again.Outcome != runner.OutcomeHit || again.Reference == hit.Reference {
		t.Errorf("after the replacement: %s of %s", again.Outcome, again.Reference)
	}

	// A runner can't prebuild, and CI can't build for an environment.
	runnersOwn := m.imagecache("prebuild", folder, "--project", project, "--refresh")
	wants(t, runnersOwn, 1, "needs the verb prebuild on projectimagecaches")
	changed := hookedWorkspace(t)
	foreign := m.withPrograms(m.command(filepath.Join(programs(), "imagecache"), "prepare", changed, "--project", project, "--environment", "ci-1", "-o", "json"), settings)
	if got := m.finish(foreign); !strings.Contains(got.stdout, `"outcome": "Built"`) || !strings.Contains(got.String(), "needs the verb report") {
		t.Errorf("CI builds as an environment: %v", got)
	}
}
