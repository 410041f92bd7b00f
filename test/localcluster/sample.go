package localcluster

import (
	"context"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/test/containerenv"
)

// Sample is what environments of the sample's runner need.
type Sample struct {
	// Base is the reference of a base image with a shell.
	Base string
	// Kubeconfig is the path of the runner's kubeconfig.
	Kubeconfig string
}

// StartSample makes the runner's stack with tags, the base image, and the runner's objects in a namespace, and waits until
// they are ready.
func (c *Cluster) StartSample(ctx context.Context, namespace string, tags map[string]string) (s Sample, err error) {
	if err := c.CreateSampleStack(ctx, tags); err != nil {
		return s, err
	}
	if s.Base, err = c.PushSampleBase(ctx); err != nil {
		return s, err
	}
	s.Kubeconfig, err = c.ApplySample(ctx, namespace)
	return s, err
}

// CreateSampleStack makes the runner's stack that config/samples/simple.yaml names, with tags.
func (c *Cluster) CreateSampleStack(ctx context.Context, tags map[string]string) error {
	_, err := c.CreateStack(ctx, "gitpod-runner-demo", filepath.Join(c.options.Config, "aws", "runner-stack.yaml"), tags, nil)
	return err
}

// PushSampleBase puts a base image with a shell into the registry, and returns its reference.
func (c *Cluster) PushSampleBase(ctx context.Context) (string, error) {
	image, err := SampleBase()
	if err != nil {
		return "", err
	}
	return c.PushImage(ctx, "base/busybox", "stable", image)
}

// SampleBase is a base image with a shell.
func SampleBase() (v1.Image, error) {
	busybox, err := containerenv.FindBusybox()
	if err != nil {
		return nil, err
	}
	return containerenv.BaseImage(busybox)
}

// ApplySample applies config/samples/simple.yaml, the runner demo and its project shop, in a runner's namespace that it
// makes, waits until both are ready, and returns the path of the runner's kubeconfig.
func (c *Cluster) ApplySample(ctx context.Context, namespace string) (kubeconfig string, err error) {
	if kubeconfig, err = c.RunnerNamespace(ctx, namespace); err != nil {
		return "", err
	}
	if err := c.Apply(ctx, namespace, filepath.Join(c.options.Config, "samples", "simple.yaml")); err != nil {
		return "", err
	}
	if _, err := c.Kubectl(ctx, "wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "ric/demo", "pic/shop"); err != nil {
		return "", err
	}
	return kubeconfig, nil
}
