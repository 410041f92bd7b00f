package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"imagecache.dev/internal/runner"
)

// started is what the examples print of a container that came up.
type started struct {
	Outcome     string        `json:"outcome"`
	ContainerID string        `json:"containerId"`
	Cache       runner.Result `json:"cache"`
}

// hookedWorkspace is a workspace whose lifecycle commands write into the file log.
func hookedWorkspace(t *testing.T) string {
	t.Helper()
	return workspace(t, map[string]string{
		".devcontainer/devcontainer.json": `{"build": {"dockerfile": "Dockerfile"}, "overrideCommand": true,
			"postCreateCommand": "echo created >>log", "postStartCommand": "echo started >>log"} // ` + t.Name(),
		".devcontainer/Dockerfile": dockerfile,
		".devcontainer/data":       "data",
	})
}

// example makes a command of a file below examples/, on this machine, whose PATH has our programs.
func (m *machine) example(settings []string, program string, args ...string) *exec.Cmd {
	m.t.Helper()
	path, err := filepath.Abs(filepath.Join(root(), "examples", program))
	if err != nil {
		m.t.Fatal(err)
	}
	return m.withPrograms(m.command(path, args...), settings)
}

func (m *machine) withPrograms(command *exec.Cmd, settings []string) *exec.Cmd {
	search := os.Getenv("PATH")
	for _, variable := range m.env {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			search = value
		}
	}
	command.Env = append(command.Env, "PATH="+programs()+":"+search, "IMAGECACHE_NAMESPACE="+namespace, "IMAGECACHE_PROJECT="+project)
	command.Env = append(command.Env, settings...)
	return command
}

// containers are the IDs of a workspace's containers, with those that are stopped if all is set.
func (m *machine) containers(folder string, all bool) []string {
	m.t.Helper()
	arguments := []string{"ps", "--quiet", "--no-trunc", "--filter", "label=devcontainer.local_folder=" + folder}
	if all {
		arguments = append(arguments, "--all")
	}
	listed := m.client(arguments...)
	wants(m.t, listed, 0)
	return strings.Fields(listed.stdout)
}

// removeContainers removes a workspace's containers. Defer it: the test's context has ended when its cleanups run.
func (m *machine) removeContainers(folder string) {
	for _, id := range m.containers(folder, true) {
		m.client("rm", "--force", id)
	}
}

// hooks returns what the lifecycle commands wrote.
func hooks(t *testing.T, folder string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(content)), " ")
}

func TestExampleRunnerKeepsAnEnvironment(t *testing.T) {
	m, folder := newMachine(t), hookedWorkspace(t)
	defer m.removeContainers(folder)
	metrics := t.TempDir()
	settings := []string{"IMAGECACHE_ENGINE=" + m.engine.Kind.Program(), "IMAGECACHE_METRICS=" + metrics}
	environment := func(action string) ran {
		t.Helper()
		got := m.finish(m.example(settings, "ec2-runner/environment", action, folder, "example-1"))
		wants(t, got, 0)
		return got
	}
	answer := func(got ran) (answer started) {
		t.Helper()
		if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || answer.Outcome != "success" {
			t.Fatalf("%v: %v", err, got)
		}
		return answer
	}

	first := answer(environment("start"))
	if first.Cache.Outcome != runner.OutcomePublished || hooks(t, folder) != "created started" {
		t.Errorf("created: %+v, hooks %s", first, hooks(t, folder))
	}
	if _, err := os.Stat(filepath.Join(metrics, "example-1.prom")); err != nil {
		t.Error(err)
	}
	environment("stop")
	if running := m.containers(folder, false); len(running) > 0 {
		t.Errorf("stopped, but %v runs", running)
	}
	if again := answer(environment("start")); again.ContainerID != first.ContainerID || hooks(t, folder) != "created started started" {
		t.Errorf("started again: %+v, hooks %s", again, hooks(t, folder))
	}
	rebuilt := answer(environment("rebuild"))
	if rebuilt.ContainerID == first.ContainerID || rebuilt.Cache.Outcome != runner.OutcomeHit {
		t.Errorf("rebuilt: %+v", rebuilt)
	}
	if want := "created started started created started"; hooks(t, folder) != want {
		t.Errorf("hooks %s, want %s", hooks(t, folder), want)
	}
	environment("remove")
	if left := m.containers(folder, true); len(left) > 0 {
		t.Errorf("removed, but %v exists", left)
	}
	wants(t, m.finish(m.example(settings, "ec2-runner/environment", "pause", folder, "example-1")), 2, "pause is not start")
}

func TestExampleJobStartsTheContainer(t *testing.T) {
	m, folder := newMachine(t), hookedWorkspace(t)
	defer m.removeContainers(folder)
	job := m.withPrograms(m.command("bash", "-e", "-c", stepOf(t, "github-actions/devcontainer.yaml", "Start the dev container")),
		[]string{"GITHUB_RUN_ID=17", "GITHUB_RUN_ATTEMPT=1"})
	job.Dir = folder
	wants(t, m.finish(job), 0)
	if hooks(t, folder) != "created started" {
		t.Errorf("hooks %s", hooks(t, folder))
	}
}

func TestExampleCoderWorkspaceStartsTheContainer(t *testing.T) {
	m, folder := newMachine(t), hookedWorkspace(t)
	defer m.removeContainers(folder)
	wants(t, m.finish(m.example([]string{"CODER_WORKSPACE_ID=17", "WORKSPACE_FOLDER=" + folder}, "coder/start.sh")), 0)
	if hooks(t, folder) != "created started" {
		t.Errorf("hooks %s", hooks(t, folder))
	}
}

// stepOf returns the commands of a workflow's step.
func stepOf(t *testing.T, workflow, step string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root(), "examples", workflow))
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Jobs map[string]struct {
			Steps []struct{ Name, Run string }
		}
	}
	if err := yaml.Unmarshal(content, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, job := range parsed.Jobs {
		for _, candidate := range job.Steps {
			if candidate.Name == step {
				return candidate.Run
			}
		}
	}
	t.Fatalf("%s has no step %q", workflow, step)
	return ""
}
