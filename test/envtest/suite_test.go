// Package envtest runs the API and the controllers against a real kube-apiserver and etcd, with AWS on loopback.
package envtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"imagecache.dev/api/v1alpha1"
)

var (
	restConfig *rest.Config
	kube       client.Client
	scheme     = runtime.NewScheme()
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/envtest:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	log.SetLogger(suiteLogs.logger())
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, fmt.Errorf("register types: %w", err)
		}
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "..", "bin", "k8s")
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd")},
		ErrorIfCRDPathMissing: true,
	}
	if restConfig, err = environment.Start(); err != nil {
		return 1, fmt.Errorf("start the API server (make kube-assets builds it): %w", err)
	}
	defer func() {
		if stopErr := environment.Stop(); stopErr != nil && err == nil {
			err = fmt.Errorf("stop the API server: %w", stopErr)
		}
	}()
	restConfig.QPS, restConfig.Burst = -1, -1
	if kube, err = client.New(restConfig, client.Options{Scheme: scheme}); err != nil {
		return 1, fmt.Errorf("make a client: %w", err)
	}
	code = m.Run()
	if found := suiteCredentials(); found > 0 {
		return 1, fmt.Errorf("%d credentials are in what the managers logged", found)
	}
	return code, nil
}
