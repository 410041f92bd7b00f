// Package up compares the containers of imagecache up with those of devcontainer up, which knows no cache.
package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imagecache.dev/internal/builder"
	"imagecache.dev/test/localcluster"
)

// The runner that all tests share, with its namespace and its project.
const (
	namespace = "runner-up"
	project   = "shop"
	// composed is a project that caches Docker Compose configurations.
	composed = "composed"
)

var (
	cluster    *localcluster.Cluster
	kubeconfig string // the runner's
)

// long reports whether to compare every case.
func long() bool { return os.Getenv("IMAGECACHE_LONG") != "" }

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e/up:", err)
		code = 1
	}
	os.Exit(code)
}

func root() string { return filepath.Join("..", "..", "..") }

// programs is the folder with our own programs.
func programs() string {
	folder, err := filepath.Abs(filepath.Join(root(), "bin"))
	if err != nil {
		panic(err)
	}
	return folder
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv(builder.CLIVariable) == "" {
		if err := os.Setenv(builder.CLIVariable, filepath.Join(programs(), "devcontainer")); err != nil {
			return 1, err
		}
	}
	dir, err := os.MkdirTemp("", "imagecache-up-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	options, err := localcluster.InCheckout(root(), dir)
	if err != nil {
		return 1, err
	}
	cluster, err = localcluster.Start(ctx, options)
	if err != nil {
		return 1, err
	}
	defer cluster.Stop()
	if err := cluster.CreateSampleStack(ctx, map[string]string{"team": "platform"}); err != nil {
		return 1, err
	}
	if kubeconfig, err = cluster.ApplySample(ctx, namespace); err != nil {
		return 1, err
	}
	if err := cluster.Apply(ctx, namespace, filepath.Join("testdata", "composed.yaml")); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
