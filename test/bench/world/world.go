// Package world is what benchmarks of the controllers measure in: a real API server, AWS on loopback, and a manager, in
// this process or in one of its own.
package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/awsemulator"
)

// ManagerNamespace is the manager's own namespace, which holds its signing keys.
const ManagerNamespace = "default"

// World is a running world. Close ends it.
type World struct {
	Config *rest.Config
	Scheme *runtime.Scheme
	Client client.WithWatch
	AWS    *awsemulator.Server

	plane       *envtest.Environment
	stopManager func() error
	environment map[string]*string // of this process before
}

// Start runs an API server with the kinds, and AWS. The manager is started by itself.
func Start() (w *World, err error) {
	ctrl.SetLogger(logr.Discard())
	w = &World{Scheme: runtime.NewScheme(), stopManager: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := errors.Join(clientgoscheme.AddToScheme(w.Scheme), v1alpha1.AddToScheme(w.Scheme)); err != nil {
		return w, fmt.Errorf("register types: %w", err)
	}
	if w.AWS, err = awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true}); err != nil {
		return w, fmt.Errorf("start AWS: %w", err)
	}
	w.setEnvironment()
	w.plane = &envtest.Environment{
		BinaryAssetsDirectory: assets(),
		CRDDirectoryPaths:     []string{filepath.Join("config", "crd")},
		ErrorIfCRDPathMissing: true,
	}
	if w.Config, err = w.plane.Start(); err != nil {
		return w, fmt.Errorf("start control plane: %w", err)
	}
	w.Config.QPS, w.Config.Burst = -1, -1
	if w.Client, err = client.NewWithWatch(w.Config, client.Options{Scheme: w.Scheme}); err != nil {
		return w, fmt.Errorf("make client: %w", err)
	}
	return w, nil
}

// assets is the folder of kube-apiserver and etcd.
func assets() string {
	if folder := os.Getenv("KUBEBUILDER_ASSETS"); folder != "" {
		return folder
	}
	return filepath.Join("bin", "k8s")
}

// settings are the SDK's ordinary ones, for a program that shall reach the world's AWS.
func (w *World) settings() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": w.AWS.URL(), "AWS_ACCESS_KEY_ID": w.AWS.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": w.AWS.SecretAccessKey(),
		"AWS_REGION": w.AWS.Region(), "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	}
}

// setEnvironment points the SDK of this process at the emulator.
func (w *World) setEnvironment() {
	w.environment = map[string]*string{}
	for name, value := range w.settings() {
		w.environment[name] = nil
		if before, set := os.LookupEnv(name); set {
			w.environment[name] = &before
		}
		_ = os.Setenv(name, value) // these names and values are always valid
	}
}

// Close ends everything.
func (w *World) Close() error {
	errs := []error{w.stopManager()}
	if w.plane != nil {
		errs = append(errs, w.plane.Stop())
	}
	if w.AWS != nil {
		errs = append(errs, w.AWS.Close())
	}
	for name, value := range w.environment {
		if value == nil {
			errs = append(errs, os.Unsetenv(name))
		} else {
			errs = append(errs, os.Setenv(name, *value))
		}
	}
	return errors.Join(errs...)
}

// EtcdURL is where the API server's store is.
func (w *World) EtcdURL() string { return w.plane.ControlPlane.Etcd.URL.String() }

// Namespace makes a namespace.
func (w *World) Namespace(ctx context.Context, name string) error {
	if err := w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return fmt.Errorf("make namespace: %w", err)
	}
	return nil
}

// SigningKey returns the key that signs images, once the manager has made it.
func (w *World) SigningKey(ctx context.Context) (provenance.Signer, error) {
	secret := &corev1.Secret{}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := w.Client.Get(ctx, client.ObjectKey{Namespace: ManagerNamespace, Name: signingkeys.SecretName}, secret)
		return err == nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the signing key: %w", err)
	}
	keys, err := provenance.ParseKeySet(secret.Data)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	return keys.Signer, nil
}

// Project makes a runner and a project of it, and waits until both are ready.
func (w *World) Project(ctx context.Context, namespace, name string) (*v1alpha1.ProjectImageCache, error) {
	runner := &v1alpha1.RunnerImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.RunnerImageCacheSpec{RunnerID: name, Region: w.AWS.Region()},
	}
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: name}, ProjectID: name},
	}
	if err := errors.Join(w.Client.Create(ctx, runner), w.Client.Create(ctx, project)); err != nil {
		return nil, fmt.Errorf("make project: %w", err)
	}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := w.Client.Get(ctx, client.ObjectKeyFromObject(project), project); err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionReady), nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for project: %w", err)
	}
	return project, nil
}
