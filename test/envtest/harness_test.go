package envtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// patience bounds every wait for something that takes milliseconds when nothing is wrong.
const patience = 20 * time.Second

// harness is one test's world: a namespace, an AWS account, and a manager that watches this namespace alone.
type harness struct {
	*WithT
	t         *testing.T
	ctx       context.Context
	namespace string
	beside    string // another namespace that the manager watches, if a test has one
	aws       *cloud
	stop      func()
	settings  controllers.Settings
	// config is how the manager reaches the API server, and logs all that it logs.
	config *rest.Config
	logs   *logBuffer
}

// newHarness makes a world whose manager acts as the root user of an account of its own, and starts the manager.
func newHarness(t *testing.T, edit ...func(*awsemulator.Options, *controllers.Settings)) *harness {
	t.Helper()
	options, settings := awsemulator.Options{}, defaultSettings()
	for _, e := range edit {
		e(&options, &settings)
	}
	h := newWorld(t, startCloud(t, options, asRoot))
	h.settings = settings
	h.settings.Namespace = h.namespace
	h.startManager()
	return h
}

// newWorld makes a world in an account, without a manager: startManager starts one. Everything ends with the test.
func newWorld(t *testing.T, account *cloud) *harness {
	t.Helper()
	h := &harness{
		WithT: NewWithT(t), t: t, ctx: t.Context(), namespace: newNamespace(t), aws: account, stop: func() {},
		settings: defaultSettings(), config: restConfig, logs: &logBuffer{},
	}
	h.settings.Namespace = h.namespace
	h.SetDefaultEventuallyTimeout(patience)
	h.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	t.Cleanup(h.findNoCredentials)
	t.Cleanup(func() { h.stop() })
	return h
}

func defaultSettings() controllers.Settings {
	return controllers.Settings{Clock: clock.RealClock{}, PricePerGBMonth: 0.10, ClusterUID: "cluster-1"}
}

// startManager runs a manager with all controllers until h.stop.
func (h *harness) startManager() {
	h.t.Helper()
	cacheOptions := h.settings.CacheOptions()
	cacheOptions.DefaultNamespaces = map[string]cache.Config{h.namespace: {}}
	if h.beside != "" {
		cacheOptions.DefaultNamespaces[h.beside] = cache.Config{}
	}
	mgr, err := ctrl.NewManager(h.config, ctrl.Options{
		Scheme:     scheme,
		Logger:     h.logs.logger(),
		Cache:      cacheOptions,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	h.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	h.Expect(controllers.Setup(ctx, mgr, h.settings)).To(Succeed())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("the manager ended with: %v", err)
		}
		h.stop = func() {}
	}
}

// create makes an object in the test's namespace.
func (h *harness) create(object client.Object) {
	h.t.Helper()
	object.SetNamespace(h.namespace)
	h.Expect(kube.Create(h.ctx, object)).To(Succeed())
}

// runner makes a runner without a stack, and waits until it is ready.
func (h *harness) runner(name string, edit ...func(*v1alpha1.RunnerImageCacheSpec)) *v1alpha1.RunnerImageCache {
	h.t.Helper()
	runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.RunnerImageCacheSpec{RunnerID: h.namespace + "-" + name, Region: h.aws.Region()}}
	for _, e := range edit {
		e(&runner.Spec)
	}
	h.create(runner)
	h.ready(runner)
	return runner
}

// project makes a project of a runner, and waits until it is ready.
func (h *harness) project(name, runner string, edit ...func(*v1alpha1.ProjectImageCacheSpec)) *v1alpha1.ProjectImageCache {
	h.t.Helper()
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ProjectImageCacheSpec{
		RunnerRef: v1alpha1.RunnerReference{Name: runner}, ProjectID: name,
	}}
	for _, e := range edit {
		e(&project.Spec)
	}
	h.create(project)
	h.ready(project)
	return project
}

// refresh reads an object again.
func (h *harness) refresh(object client.Object) error {
	return kube.Get(h.ctx, types.NamespacedName{Namespace: h.namespace, Name: object.GetName()}, object)
}

// ready waits until an object is ready, as kstatus means it: the condition is True and of the latest generation.
func (h *harness) ready(object client.Object) {
	h.t.Helper()
	h.condition(object, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// condition waits until a condition of an object has a status, for the latest generation, and returns its reason.
func (h *harness) condition(object client.Object, kind string, status metav1.ConditionStatus) string {
	h.t.Helper()
	var reason string
	h.Eventually(func() error {
		if err := h.refresh(object); err != nil {
			return err
		}
		for _, condition := range conditionsOf(object) {
			if condition.Type == kind && condition.Status == status && condition.ObservedGeneration == object.GetGeneration() {
				reason = condition.Reason
				return nil
			}
		}
		return fmt.Errorf("%T %s has not %s=%s: %s", object, object.GetName(), kind, status, describe(object))
	}).Should(Succeed())
	return reason
}

// reason waits until a condition of an object has a reason.
func (h *harness) reason(object client.Object, kind, reason string) {
	h.t.Helper()
	h.Eventually(func() error {
		if err := h.refresh(object); err != nil {
			return err
		}
		for _, condition := range conditionsOf(object) {
			if condition.Type == kind && condition.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("%T %s has no %s with reason %s: %s", object, object.GetName(), kind, reason, describe(object))
	}).Should(Succeed())
}

func conditionsOf(object client.Object) []metav1.Condition {
	switch o := object.(type) {
	case *v1alpha1.RunnerImageCache:
		return o.Status.Conditions
	case *v1alpha1.ProjectImageCache:
		return o.Status.Conditions
	case *v1alpha1.DevcontainerImage:
		return o.Status.Conditions
	}
	return nil
}

// describe writes an object's conditions on one line.
func describe(object client.Object) string {
	var parts []string
	for _, condition := range conditionsOf(object) {
		parts = append(parts, fmt.Sprintf("%s=%s (%s: %s)", condition.Type, condition.Status, condition.Reason, condition.Message))
	}
	if len(parts) == 0 {
		return "no conditions"
	}
	return strings.Join(parts, "; ")
}
