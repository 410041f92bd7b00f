// Package install tests what a cluster gets: the Helm chart and config/default, rendered by the real programs and applied
// to a real kube-apiserver.
package install

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const (
	namespace = "imagecache-system"
	release   = "imagecache"
)

var (
	root       = filepath.Join("..", "..", "..")
	chart      = filepath.Join(root, "charts", "devcontainer-image-cache")
	cluster    *envtest.Environment
	restConfig *rest.Config
	kube       client.Client
	// kubeconfig is a file by which programs reach the API server as an administrator.
	kubeconfig string
	// programs is the folder of kubectl.
	programs string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/envtest/install:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	programs = os.Getenv("KUBEBUILDER_ASSETS")
	if programs == "" {
		programs = filepath.Join(root, "bin", "k8s")
	}
	// No CRD is installed: that is what is tested.
	cluster = &envtest.Environment{BinaryAssetsDirectory: programs}
	if restConfig, err = cluster.Start(); err != nil {
		return 1, fmt.Errorf("start the API server (make kube-assets builds it): %w", err)
	}
	defer func() {
		if stopErr := cluster.Stop(); stopErr != nil && err == nil {
			err = fmt.Errorf("stop the API server: %w", stopErr)
		}
	}()
	if kube, err = client.New(restConfig, client.Options{}); err != nil {
		return 1, fmt.Errorf("make a client: %w", err)
	}
	dir, err := os.MkdirTemp("", "imagecache-install-")
	if err != nil {
		return 1, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, cluster.KubeConfig, 0o600); err != nil {
		return 1, fmt.Errorf("write kubeconfig: %w", err)
	}
	return m.Run(), nil
}

// kubeconfigOf is the kubeconfig of a user without any rights but those of everybody.
func kubeconfigOf(t *testing.T, name string) []byte {
	t.Helper()
	user, err := cluster.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
