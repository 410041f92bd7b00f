// Package controlplane measures how long a kube-apiserver with etcd takes to start and stop: what demo and tests
// spend before they begin.
package controlplane

import (
	"context"
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"imagecache.dev/test/bench/figure"
)

// Run starts and stops one control plane. The programs are those that KUBEBUILDER_ASSETS names.
func Run(_ context.Context) ([]figure.Figure, error) {
	plane := &envtest.Environment{BinaryAssetsDirectory: os.Getenv("KUBEBUILDER_ASSETS")}
	began := time.Now()
	if _, err := plane.Start(); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	started := time.Since(began)
	if err := plane.Stop(); err != nil {
		return nil, fmt.Errorf("stop control plane: %w", err)
	}
	stopped := time.Since(began) - started
	return []figure.Figure{
		{Name: "control plane: start", Value: started.Seconds(), Unit: "s", Goal: 10, Better: figure.Lower},
		{Name: "control plane: stop", Value: stopped.Seconds(), Unit: "s", Goal: 5, Better: figure.Lower},
	}, nil
}
