// Package dashboard looks at imagecache dashboard with a real browser: the program as it ships, a real API server, and the
// manager with its AWS.
package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"imagecache.dev/test/browser"
	"imagecache.dev/test/localcluster"
)

const (
	namespace = "runner-look"
	project   = "shop"
	printed   = "The dashboard is at " // before the address
)

var (
	cluster    *localcluster.Cluster
	tabs       *browser.Browser
	kubeconfig string // the runner's
	base       string // reference of the base image
	everybodys string // address of the dashboard that the tests share
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e/dashboard:", err)
		code = 1
	}
	os.Exit(code)
}

func root(path ...string) string {
	return filepath.Join(append([]string{"..", "..", ".."}, path...)...)
}

func programs() string {
	folder, err := filepath.Abs(root("bin"))
	if err != nil {
		panic(err)
	}
	return folder
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "imagecache-look-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if tabs, err = browser.Start(root("hack", "tools", "browser")); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, tabs.Close()) }()
	options, err := localcluster.InCheckout(root(), dir)
	if err != nil {
		return 1, err
	}
	cluster, err = localcluster.Start(ctx, options)
	if err != nil {
		return 1, err
	}
	defer cluster.Stop()
	sample, err := cluster.StartSample(ctx, namespace, nil)
	if err != nil {
		return 1, err
	}
	base, kubeconfig = sample.Base, sample.Kubeconfig
	line, stop, err := launch(cluster.AdminKubeconfig, "--no-browser", "-n", namespace)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	everybodys = strings.TrimPrefix(line, printed)
	return m.Run(), nil
}

// dashboard starts the program for a kubeconfig, and returns the address that it printed.
func dashboard(t *testing.T, kubeconfig string, args ...string) (address string) {
	t.Helper()
	line := start(t, kubeconfig, append([]string{"--no-browser"}, args...)...)
	address, found := strings.CutPrefix(line, printed)
	if !found {
		t.Fatalf("the dashboard printed %q", line)
	}
	return address
}

// start starts imagecache dashboard, and returns the first line that it printed. It ends with the test.
func start(t *testing.T, kubeconfig string, args ...string) (line string) {
	t.Helper()
	line, stop, err := launch(kubeconfig, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return line
}

// launch starts imagecache dashboard, and returns the first line that it printed. Ctrl-C has to end it, soon and with
// success.
func launch(kubeconfig string, args ...string) (line string, stop func() error, err error) {
	command := exec.Command(filepath.Join(programs(), "imagecache"), append([]string{"dashboard"}, args...)...)
	command.Env = append(os.Environ(), cluster.AWSEnvironment()...)
	command.Env = append(command.Env, "KUBECONFIG="+kubeconfig)
	output, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		_ = command.Process.Signal(syscall.SIGINT)
		began := time.Now()
		if err := command.Wait(); err != nil {
			return fmt.Errorf("end the dashboard by Ctrl-C: %w", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			return fmt.Errorf("Ctrl-C ended the dashboard after %s", took)
		}
		return nil
	}
	line, err = bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("the dashboard printed %q: %w", line, err), stop())
	}
	return strings.TrimSpace(line), stop, nil
}

// administrator opens the dashboard of somebody who may do anything in the namespace: one for all tests, or with arguments
// one of the test's own.
func administrator(t *testing.T, look browser.Look, args ...string) *browser.Page {
	t.Helper()
	page, address := tabs.Open(t, look), everybodys
	if len(args) > 0 {
		address = dashboard(t, cluster.AdminKubeconfig, append([]string{"-n", namespace}, args...)...)
	}
	if status, at := page.Goto(address); status != 200 {
		t.Fatalf("status %d at %s", status, at)
	}
	return page
}

// open follows an entry of the navigation.
func open(page *browser.Page, entry string) {
	page.Click(`nav[aria-label=Questions] a:has-text("` + entry + `")`)
}

// prepare runs imagecache prepare for an environment as its runner does, without an engine, and returns what it printed.
func prepare(t *testing.T, workspace, environment string, args ...string) string {
	t.Helper()
	arguments := append([]string{
		"prepare", workspace, "--project", project, "--environment", environment, "--builder", "embedded",
		"--pull", "oci:" + filepath.Join(t.TempDir(), "image"),
	}, args...)
	command := exec.CommandContext(t.Context(), filepath.Join(programs(), "imagecache"), arguments...)
	credentials := t.TempDir()
	if err := cluster.WriteDockerConfig(t.Context(), credentials); err != nil {
		t.Fatal(err)
	}
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "DOCKER_CONFIG="+credentials, "PATH=/nonexistent",
		"IMAGECACHE_EMBEDDED_STORE="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir())
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("prepare: %v: %s", err, output)
	}
	return string(output)
}

// workspace makes a workspace whose hash no other test has.
func workspace(t *testing.T, marker string) string {
	t.Helper()
	folder := t.TempDir()
	content := `{"image": "` + base + `", "remoteUser": "root"} // ` + marker
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// kubectl runs kubectl as administrator in the namespace, also when the test ends.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	printed, err := cluster.Kubectl(context.WithoutCancel(t.Context()), append([]string{"-n", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(printed)
}

// shots is where pictures of the pages are kept, for whoever wants to see what the tests saw.
func shots(t *testing.T, name string) string {
	t.Helper()
	folder := filepath.Join(programs(), "dashboard-shots")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-")+".png")
}
