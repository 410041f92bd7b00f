package install

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// replica is a running manager.
type replica struct {
	*exec.Cmd
	probes string
	ended  chan error
}

// startReplica runs a manager that reaches the cluster by a kubeconfig, and no AWS.
func startReplica(t *testing.T, kubeconfig string, args ...string) *replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probes := listener.Addr().String()
	_ = listener.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "manager.log"))
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{
		Cmd: exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(root, "bin", "manager"),
			append(args, "--health-probe-bind-address", probes)...),
		probes: "http://" + probes, ended: make(chan error, 1),
	}
	r.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=none", "AWS_SECRET_ACCESS_KEY=none",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_ENDPOINT_URL=http://127.0.0.1:1")
	r.Stdout, r.Stderr = log, log
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.Wait() }()
	t.Cleanup(func() {
		_ = r.Process.Kill()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("manager %d:\n%s", r.Process.Pid, text)
		}
	})
	return r
}

// probe is the answer of a probe, 0 for none.
func (r *replica) probe(ctx context.Context, path string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.probes+path, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// eventually waits until something is so, and says how long it took.
func eventually(t *testing.T, what string, so func(context.Context) bool) time.Duration {
	t.Helper()
	start := time.Now()
	for ; time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		ok := so(ctx)
		cancel()
		if ok {
			return time.Since(start)
		}
	}
	t.Fatalf("%s: not within %s", what, patience)
	return 0
}

// installCRDs makes the three kinds, if they are not there.
func installCRDs(t *testing.T) {
	t.Helper()
	crds := envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd")}, ErrorIfPathMissing: true}
	if _, err := envtest.InstallCRDs(restConfig, crds); err != nil {
		t.Fatal(err)
	}
}
