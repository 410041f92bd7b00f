// Package runner_test runs `imagecache prepare`'s library against a real API server. The controller's answers are scripted,
// so that every one of them, the failures too, comes when the test wants it.
package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/runner"
)

var (
	config    *rest.Config
	namespace atomic.Int32
)

func TestMain(m *testing.M) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "..", "..", "bin", "k8s")
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "config", "crd")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	if config, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start API server:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop API server:", err)
		code = 1
	}
	os.Exit(code)
}

// world is one test's namespace, with a project in it and the scripted controller over it.
type world struct {
	t         *testing.T
	client    client.WithWatch
	namespace string
	engine    *engine
	events    *recorded
	workspace string
	// usable is called as soon as the image can be used.
	usable func(runner.Result)
	// handOver gives a publication away.
	handOver func(context.Context, runner.Publication) (string, error)
	// asked are the blobs that the scripted controller last asked for.
	asked []string
}

// newWorld makes a namespace with the project "web", whose ID is "web-id".
func newWorld(t *testing.T) *world {
	t.Helper()
	connection, err := cluster.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, client: connection, namespace: fmt.Sprintf("test-%d", namespace.Add(1)),
		engine: &engine{}, events: &recorded{}, workspace: t.TempDir(),
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	if _, err := clientset.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.create(&v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Name: "runner"}, Spec: v1alpha1.RunnerImageCacheSpec{RunnerID: "r", Region: "eu-central-1"},
	})
	w.create(&v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "runner"}, ProjectID: "web-id"},
	})
	w.write(".devcontainer/devcontainer.json", `{"image": "base"}`)
	return w
}

func (w *world) create(object client.Object) {
	w.t.Helper()
	object.SetNamespace(w.namespace)
	if err := w.client.Create(w.t.Context(), object); err != nil {
		w.t.Fatal(err)
	}
}

// setKeyInputs lets the project ask for further inputs of the hash.
func (w *world) setKeyInputs(inputs ...v1alpha1.KeyInputKind) {
	w.t.Helper()
	project := &v1alpha1.ProjectImageCache{}
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, project)
	if err == nil {
		project.Spec.KeyInputs = inputs
		err = w.client.Update(w.t.Context(), project)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.workspace, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// answer is a scripted controller: it sees each state of a request and says what the status is to be, or nil to leave it.
type answer func(ctx context.Context, image *v1alpha1.DevcontainerImage) *v1alpha1.DevcontainerImageStatus

// control runs a scripted controller until the test ends.
func (w *world) control(script answer) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := w.client.Watch(ctx, &v1alpha1.DevcontainerImageList{}, client.InNamespace(w.namespace))
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for event := range stream.ResultChan() {
			image, ok := event.Object.(*v1alpha1.DevcontainerImage)
			if !ok || event.Type == "DELETED" {
				continue
			}
			if status := script(ctx, image); status != nil {
				w.setStatus(ctx, image, *status)
			}
		}
	})
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func (w *world) setStatus(ctx context.Context, image *v1alpha1.DevcontainerImage, status v1alpha1.DevcontainerImageStatus) {
	before := image.DeepCopy()
	image.Status = status
	for i := range image.Status.Conditions {
		if image.Status.Conditions[i].LastTransitionTime.IsZero() {
			image.Status.Conditions[i].LastTransitionTime = metav1.Now()
		}
	}
	if err := w.client.Status().Patch(ctx, image, client.MergeFrom(before)); err != nil && ctx.Err() == nil {
		w.t.Errorf("scripted controller: %v", err)
	}
}

// request is what the tests ask for, unless they change it.
func (w *world) request() runner.Request {
	return runner.Request{
		Workspace: w.workspace, Project: "web", Environment: "env-1", Trigger: v1alpha1.TriggerEnvironmentCreated,
		Wait: true, LookupTimeout: 10 * time.Second, PublishTimeout: 20 * time.Second,
	}
}

func (w *world) prepare(ctx context.Context, request runner.Request) (*runner.Result, error) {
	prepared := &runner.Runner{
		Client: w.client, Namespace: w.namespace, FindEngine: w.engine.find, Events: w.events, Usable: w.usable,
		HandOver: w.handOver,
	}
	return prepared.Prepare(ctx, request)
}

// mustPrepare prepares and expects an image.
func (w *world) mustPrepare(request runner.Request) *runner.Result {
	w.t.Helper()
	result, err := w.prepare(w.t.Context(), request)
	if err != nil {
		w.t.Fatalf("prepare: %v", err)
	}
	return result
}

// requests are the DevcontainerImages of the test.
func (w *world) requests() []v1alpha1.DevcontainerImage {
	w.t.Helper()
	list := &v1alpha1.DevcontainerImageList{}
	if err := w.client.List(context.Background(), list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// theRequest is the one DevcontainerImage of the test.
func (w *world) theRequest() v1alpha1.DevcontainerImage {
	w.t.Helper()
	requests := w.requests()
	if len(requests) != 1 {
		w.t.Fatalf("%d requests, want 1", len(requests))
	}
	return requests[0]
}
