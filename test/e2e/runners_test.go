package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"imagecache.dev/test/localcluster"
)

// secondRunner makes another runner with a project of the same name, and returns its kubeconfig.
func secondRunner(t *testing.T, cluster *localcluster.Cluster) string {
	t.Helper()
	const second = "runner-second"
	kubeconfig, err := cluster.RunnerNamespace(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(t.TempDir(), "objects.yaml")
	const yaml = `
apiVersion: imagecache.dev/v1alpha1
kind: RunnerImageCache
metadata: {name: second}
spec: {runnerID: second, region: us-east-1}
---
apiVersion: imagecache.dev/v1alpha1
kind: ProjectImageCache
metadata: {name: shop}
spec: {runnerRef: {name: second}, projectID: shop}
`
	if err := os.WriteFile(objects, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), second, objects); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "wait", "-n", second, "--for=condition=Ready", "--timeout=60s", "ric/second", "pic/shop"); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func TestTwoRunnersAtOnceShareNothingAndOutliveTheManager(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	path := filepath.Join(folder, ".devcontainer", "Dockerfile")
	if err := os.WriteFile(path, []byte("FROM busybox:stable\nRUN sleep 15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := newMachine(t), newMachine(t)
	second.env = append(second.env, "KUBECONFIG="+secondRunner(t, cluster))
	var commands []*exec.Cmd
	var outputs []*output
	for _, m := range []*machine{first, second} {
		command, stdout := m.startPrepare(folder, "two-1", "sleep 15")
		commands, outputs = append(commands, command), append(outputs, stdout)
	}
	for _, stdout := range outputs {
		if strings.Contains(stdout.String(), "Built ") {
			t.Fatalf("one has built before the manager is restarted:\n%s", stdout)
		}
	}
	cluster.StopManager()
	if err := cluster.StartManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, command := range commands {
		_ = command.Wait()
		wants(t, ran{code: command.ProcessState.ExitCode(), stdout: outputs[i].String()}, codePublished)
	}
	hit := second.prepare(folder, "two-2")
	wants(t, hit, codeHit, "gitpod-runner-second/projects/shop/image-build@sha256:")
}

func TestPrepareOnATerminal(t *testing.T) {
	folder := dockerfileWorkspace(t, t.Name())
	wants(t, newMachine(t).prepare(folder, "tty-1"), codePublished)
	m := newMachine(t)
	command := m.command(filepath.Join(programs(), "imagecache"), "prepare", folder, "--project", project, "--environment", "tty-2")
	command.Env = append(command.Env, "TERM=xterm", "NO_COLOR=")
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	shown := &output{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			_, _ = shown.Write(buffer[:n])
			if err != nil { // how a terminal ends when its last user does
				return
			}
		}
	}()
	if err := command.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, shown)
	}
	<-done
	for _, want := range []string{"\x1b[1mCreating dev container\x1b[0m", "\x1b[32m✓\x1b[0m ", "\r\x1b[K", savedLine, "Image:  imagecache.local/shop:", "Result: hit"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("no %q in %q", want, shown)
		}
	}
}
