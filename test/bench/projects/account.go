// Package projects measures what keeping many projects' repositories costs: calls to AWS, time, memory.
package projects

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/awsemulator"
)

const (
	namespace = "bench"
	runner    = "r1"
	// creators is how many projects are created at the same time.
	creators = 16
)

// world is an API server and an AWS account.
type world struct {
	plane   *envtest.Environment
	config  *rest.Config
	kube    client.Client
	account *awsemulator.Server
	scheme  *runtime.Scheme
}

func start() (w *world, err error) {
	w = &world{scheme: runtime.NewScheme()}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(w.scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("bin", "k8s")
	}
	w.plane = &envtest.Environment{
		BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join("config", "crd")}, ErrorIfCRDPathMissing: true,
	}
	if w.config, err = w.plane.Start(); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	w.config.QPS, w.config.Burst = -1, -1
	if w.kube, err = client.New(w.config, client.Options{Scheme: w.scheme}); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if w.account, err = awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true}); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *world) stop() error {
	var err error
	if w.account != nil {
		err = w.account.Close()
	}
	return errors.Join(err, w.plane.Stop())
}

// settings are the SDK's ordinary ones, for a program that shall reach the account.
func (w *world) settings() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": w.account.URL(), "AWS_REGION": w.account.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ACCESS_KEY_ID": w.account.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": w.account.SecretAccessKey(),
	}
}

// apply makes the namespace and the runner.
func (w *world) apply(ctx context.Context) error {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&v1alpha1.RunnerImageCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: runner},
			Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: runner, Region: w.account.Region()},
		},
	}
	for _, object := range objects {
		if err := w.kube.Create(ctx, object); err != nil {
			return fmt.Errorf("create %s: %w", object.GetName(), err)
		}
	}
	return wait(ctx, func() (bool, error) {
		found := &v1alpha1.RunnerImageCache{}
		err := w.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: runner}, found)
		return meta.IsStatusConditionTrue(found.Status.Conditions, v1alpha1.ConditionReady), err
	})
}

// createProjects creates so many projects whose names begin with prefix.
func (w *world) createProjects(ctx context.Context, prefix string, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for n := range count {
		group.Go(func() error {
			name := fmt.Sprintf("%s-%05d", prefix, n)
			err := w.kube.Create(ctx, &v1alpha1.ProjectImageCache{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
				Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: runner}, ProjectID: name},
			})
			if err != nil {
				return fmt.Errorf("create project: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// allReady waits until so many projects are ready, of which made come after the call log was reset. It reads them, which costs the API server much, only once their
// repositories are made.
func (w *world) allReady(ctx context.Context, made, count int) error {
	err := wait(ctx, func() (bool, error) { return w.account.Calls().Count("ecr:SetRepositoryPolicy") >= made, nil })
	if err != nil {
		return err
	}
	return wait(ctx, func() (bool, error) {
		var list v1alpha1.ProjectImageCacheList
		if err := w.kube.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		ready := 0
		for n := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[n].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		return ready >= count, nil
	})
}

// wait asks twice a second until the answer is yes.
func wait(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := done()
		if yes || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
