// Package metrics runs a Prometheus against the whole system, as an operator does: with a token of a service account that may
// read the metrics, with the alerts of config/prometheus, and with every query of config/grafana.
package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imagecache.dev/test/localcluster"
)

const namespace = "runner-metrics"

var (
	cluster    *localcluster.Cluster
	server     *prometheus
	kubeconfig string // the runner's
	base       string // reference of the base image
	runnerFile string // the metrics of the runner's machine
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e/metrics:", err)
		code = 1
	}
	os.Exit(code)
}

func root(elements ...string) string {
	return filepath.Join(append([]string{"..", "..", ".."}, elements...)...)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "imagecache-metrics-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runnerFile = filepath.Join(dir, "imagecache.prom")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	options, err := localcluster.InCheckout(root(), dir)
	if err != nil {
		return 1, err
	}
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return 1, fmt.Errorf("no prometheus (make prometheus gets one): %w", err)
	}
	options.LeaderElection = true
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
	url, err := cluster.StartPrometheus(ctx, program, "1s")
	if err != nil {
		return 1, err
	}
	server = &prometheus{url: url}
	return m.Run(), nil
}

// prepare gives an environment of the project its image, without a container engine, and returns what the tool printed.
func prepare(t *testing.T, workspace, environment string, args ...string) string {
	t.Helper()
	credentials := t.TempDir()
	if err := cluster.WriteDockerConfig(t.Context(), credentials); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "imagecache", append([]string{
		"prepare", workspace, "--project", "shop", "--environment", environment, "--builder", "embedded",
	}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "DOCKER_CONFIG="+credentials, "IMAGECACHE_EMBEDDED_STORE="+t.TempDir())
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("prepare: %v\n%s", err, printed)
	}
	return string(printed)
}

// workspace is a workspace of its own: marker makes its hash another than that of all other tests.
func workspace(t *testing.T, marker string) string {
	t.Helper()
	folder := t.TempDir()
	content := fmt.Sprintf(`{"image": %q} // %s`, base, marker)
	if err := os.WriteFile(filepath.Join(folder, ".devcontainer.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// promtool runs promtool in a folder, and fails with what it printed unless it is content.
func promtool(t *testing.T, folder, stdin string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "promtool", args...)
	command.Dir = folder
	command.Stdin = strings.NewReader(stdin)
	var printed bytes.Buffer
	command.Stdout, command.Stderr = &printed, &printed
	if err := command.Run(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, printed.String())
	}
}
