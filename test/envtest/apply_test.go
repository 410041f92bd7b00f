package envtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"imagecache.dev/api/v1alpha1"
	applyv1alpha1 "imagecache.dev/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/cluster"
)

// requestToApply is a request as a runner applies it: with the generated apply configuration.
func requestToApply(namespace, name string) *applyv1alpha1.DevcontainerImageApplyConfiguration {
	return applyv1alpha1.DevcontainerImage(name, namespace).
		WithLabels(map[string]string{"environment": name}).
		WithSpec(applyv1alpha1.DevcontainerImageSpec().
			WithProjectRef(applyv1alpha1.ProjectReference().WithName("shop")).
			WithEnvironmentID(name).
			WithTrigger(v1alpha1.TriggerEnvironmentCreated).
			WithConfigurationType(v1alpha1.ConfigurationImage).
			WithConfigHash(someHash).
			WithInputs(applyv1alpha1.KeyInput().WithName("devcontainer.json").WithDigest(someDigest)))
}

// lockedStatusPatch writes a status as the controllers do: a merge patch of what changed, that fails on a stale read.
func lockedStatusPatch(ctx context.Context, image *v1alpha1.DevcontainerImage, change func(*v1alpha1.DevcontainerImageStatus)) error {
	before := image.DeepCopy()
	change(&image.Status)
	image.Status.ObservedGeneration = image.Generation
	return kube.Status().Patch(ctx, image, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// lockedFinalizerPatch adds the finalizer, as the controllers do.
func lockedFinalizerPatch(ctx context.Context, image *v1alpha1.DevcontainerImage) error {
	before := image.DeepCopy()
	controllerutil.AddFinalizer(image, v1alpha1.Finalizer)
	return kube.Patch(ctx, image, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// TestRunnerAndControllerShareARequest goes the way of a miss that is built, with every write that is made on it. None
// may conflict, and nobody's write may undo another's.
func TestRunnerAndControllerShareARequest(t *testing.T) {
	p := newPeople(t)
	ctx, owner := t.Context(), client.FieldOwner(cluster.FieldManager)
	image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "e-1"}}
	read := func() {
		t.Helper()
		if err := kube.Get(ctx, client.ObjectKeyFromObject(image), image); err != nil {
			t.Fatal(err)
		}
	}
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	step("the runner applies", p.runner.Apply(ctx, requestToApply(p.namespace, "e-1"), owner))
	read()
	created := image.DeepCopy()
	step("the runner applies again, after an answer that got lost", p.runner.Apply(ctx, requestToApply(p.namespace, "e-1"), owner))
	read()

	step("the controller answers", lockedStatusPatch(ctx, image, func(s *v1alpha1.DevcontainerImageStatus) {
		s.CacheResult, s.Role, s.ConfigHash = v1alpha1.CacheMiss, v1alpha1.RoleBuilder, someHash
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionLookedUp, Status: metav1.ConditionTrue, Reason: "Miss"})
	}))
	step("the controller adds its finalizer", lockedFinalizerPatch(ctx, image))
	step("the runner reports", mergePatch(t, p.runner, image.DeepCopy(), buildPatch))
	read()
	step("the controller asks for layers", lockedStatusPatch(ctx, image, func(s *v1alpha1.DevcontainerImageStatus) {
		s.MissingLayers, s.ObservedUploadAttempt = []string{someDigest}, ptr.To(int32(0))
	}))
	asked := image.ResourceVersion
	step("the runner applies once more", p.runner.Apply(ctx, requestToApply(p.namespace, "e-1"), owner))
	if read(); image.ResourceVersion != asked {
		t.Error("applying the same again wrote something")
	}
	step("the runner reports the upload", mergePatch(t, p.runner, image.DeepCopy(), `{"spec":{"uploadAttempt":1}}`))
	read()
	step("the controller publishes", lockedStatusPatch(ctx, image, func(s *v1alpha1.DevcontainerImageStatus) {
		s.MissingLayers, s.ObservedUploadAttempt = nil, ptr.To(int32(1))
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPublished})
	}))
	read()

	want := created.Spec.DeepCopy()
	want.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, Manifest: "{}", Config: "{}", DurationSeconds: ptr.To(int64(60))}
	want.UploadAttempt = ptr.To(int32(1))
	if diff := cmp.Diff(*want, image.Spec); diff != "" {
		t.Errorf("the spec at the end (-want +got):\n%s", diff)
	}
	if !controllerutil.ContainsFinalizer(image, v1alpha1.Finalizer) || image.Labels["environment"] != "e-1" {
		t.Errorf("finalizer or label were lost: %v %v", image.Finalizers, image.Labels)
	}
	if image.Status.CacheResult != v1alpha1.CacheMiss || len(image.Status.Conditions) != 2 || image.Status.MissingLayers != nil {
		t.Errorf("the status at the end is %+v", image.Status)
	}
}

// TestReportsNeverConflict lets a runner report while the controller writes as fast as it can. The runner's writes name
// no version, so that none is refused; of the controller's, a stale one loses, and the next, after a fresh read, wins.
func TestReportsNeverConflict(t *testing.T) {
	p := newPeople(t)
	const requests = 8
	var runners, controllers sync.WaitGroup
	var written, lost atomic.Int32
	done, stop := context.WithCancel(t.Context())
	defer stop()
	for n := range requests {
		name := fmt.Sprintf("e-%d", n)
		if err := p.runner.Apply(t.Context(), requestToApply(p.namespace, name), client.FieldOwner(cluster.FieldManager)); err != nil {
			t.Fatal(err)
		}
		controllers.Go(func() {
			image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name}}
			for pass := int64(0); ; pass++ {
				last := done.Err() != nil
				if err := kube.Get(t.Context(), client.ObjectKeyFromObject(image), image); err != nil {
					t.Error(err)
					return
				}
				err := lockedStatusPatch(t.Context(), image, func(s *v1alpha1.DevcontainerImageStatus) { s.SavedSeconds = &pass })
				switch {
				case apierrors.IsConflict(err) && !last:
					lost.Add(1)
				case err != nil:
					t.Errorf("%s: %v", name, err)
					return
				default:
					written.Add(1)
				}
				if last {
					return
				}
			}
		})
		runners.Go(func() {
			image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name}}
			reports := []string{buildPatch}
			for attempt := 1; attempt <= 20; attempt++ {
				reports = append(reports, fmt.Sprintf(`{"spec":{"uploadAttempt":%d}}`, attempt))
			}
			for _, report := range append(reports, `{"spec":{"pull":{"outcome":"Succeeded","durationSeconds":1}}}`) {
				if err := mergePatch(t, p.runner, image, report); err != nil {
					t.Errorf("%s: %s: %v", name, report, err)
				}
			}
		})
	}
	runners.Wait()
	stop()
	controllers.Wait()
	t.Logf("the controller wrote %d times and lost %d, while %d runners reported", written.Load(), lost.Load(), requests)
}

// TestStaleStatusLoses holds the lock itself: what was decided from an old read is not written.
func TestStaleStatusLoses(t *testing.T) {
	namespace := ownNamespace(t)
	fresh := requestFor(namespace, "e-1")
	if err := kube.Create(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	stale := fresh.DeepCopy()
	if err := mergePatch(t, kube, fresh, buildPatch); err != nil {
		t.Fatal(err)
	}
	miss := func(s *v1alpha1.DevcontainerImageStatus) { s.CacheResult = v1alpha1.CacheMiss }
	if err := lockedStatusPatch(t.Context(), stale, miss); !apierrors.IsConflict(err) {
		t.Errorf("a stale status was written: %v", err)
	}
	if err := lockedStatusPatch(t.Context(), fresh, miss); err != nil {
		t.Errorf("a fresh status was not written: %v", err)
	}
}

// TestApplyConfigurationsCoverTheAPI sends every field that a user or runner can write through the generated types.
func TestApplyConfigurationsCoverTheAPI(t *testing.T) {
	namespace, owner := ownNamespace(t), client.FieldOwner(cluster.FieldManager)
	err := errors.Join(
		kube.Apply(t.Context(), applyv1alpha1.RunnerImageCache("demo", namespace).WithSpec(applyv1alpha1.RunnerImageCacheSpec().
			WithRunnerID("demo").WithRegion("us-east-1").WithAccountID("123456789012").WithStackName("stack").WithTier(v1alpha1.TierCore).
			WithCache(v1alpha1.CacheDisabled).WithAssumeRoleARN(someRole).WithExternalID("id").
			WithRoles(applyv1alpha1.RunnerRoles().WithType(v1alpha1.RolesProvided).WithPullRoleARN(someRole).WithPushRoleARN(someRole))), owner),
		kube.Apply(t.Context(), applyv1alpha1.ProjectImageCache("shop", namespace).WithSpec(applyv1alpha1.ProjectImageCacheSpec().
			WithRunnerRef(applyv1alpha1.RunnerReference().WithName("demo")).WithProjectID("shop").WithRetentionDays(7).
			WithKeyInputs(v1alpha1.KeyInputFeatures, v1alpha1.KeyInputBuildContext).WithReaders(someRole).
			WithEncryption(applyv1alpha1.Encryption().WithType(v1alpha1.EncryptionKMS).WithKMSKeyARN(someKey)).
			WithTags(applyv1alpha1.Tag().WithKey("a").WithValue(""), applyv1alpha1.Tag().WithKey("b"))), owner),
		kube.Apply(t.Context(), requestToApply(namespace, "e-1"), owner),
	)
	if err != nil {
		t.Fatal(err)
	}
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"}}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(project), project); err != nil {
		t.Fatal(err)
	}
	if got := ptr.Deref(project.Spec.Tags[0].Value, "absent"); got != "" {
		t.Errorf("an empty tag value came back as %q", got)
	}

	// Lists are merged by their keys, so that two appliers share them.
	other := applyv1alpha1.ProjectImageCache("shop", namespace).WithSpec(applyv1alpha1.ProjectImageCacheSpec().
		WithTags(applyv1alpha1.Tag().WithKey("c").WithValue("3")))
	if err := kube.Apply(t.Context(), other, client.FieldOwner("finance")); err != nil {
		t.Fatal(err)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(project), project); err != nil {
		t.Fatal(err)
	}
	if len(project.Spec.Tags) != 3 {
		t.Errorf("tags of two appliers are %v, want three", project.Spec.Tags)
	}
	taken := applyv1alpha1.ProjectImageCache("shop", namespace).WithSpec(applyv1alpha1.ProjectImageCacheSpec().WithRetentionDays(90))
	if err := kube.Apply(t.Context(), taken, client.FieldOwner("finance")); !apierrors.IsConflict(err) {
		t.Errorf("another applier took retentionDays over without a word: %v", err)
	}
}

// TestCachedRequestsAreLight reads a request as the controllers do, through the manager's cache, and writes its status
// from there: what the cache leaves out is not lost.
func TestCachedRequestsAreLight(t *testing.T) {
	ctx, namespace := t.Context(), ownNamespace(t)
	image := requestFor(namespace, "e-1")
	image.Spec.ConfigHash = ""
	image.Spec.Configuration = &v1alpha1.InlineConfiguration{DevcontainerJSON: letters(98304)}
	if err := kube.Create(ctx, image); err != nil {
		t.Fatal(err)
	}
	report := fmt.Sprintf(`{"spec":{"build":{"outcome":"Succeeded","manifest":%q,"config":%q,"durationSeconds":60}}}`, letters(65536), letters(131072))
	if err := mergePatch(t, kube, image, report); err != nil {
		t.Fatal(err)
	}
	options := (&controllers.Settings{}).CacheOptions()
	options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{Scheme: scheme, Cache: options, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	cached := &v1alpha1.DevcontainerImage{}
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the cache did not sync")
	}
	if err := mgr.GetClient().Get(ctx, client.ObjectKeyFromObject(image), cached); err != nil {
		t.Fatal(err)
	}
	if size := cached.DeepCopy(); size.Spec.Build.Manifest+size.Spec.Build.Config+size.Spec.Configuration.DevcontainerJSON != "" || size.ManagedFields != nil {
		t.Error("the cache keeps contents, blobs or managed fields")
	}
	for what, write := range map[string]func() error{
		"status": func() error {
			return lockedStatusPatch(ctx, cached, func(s *v1alpha1.DevcontainerImageStatus) { s.CacheResult = v1alpha1.CacheMiss })
		},
		"finalizer": func() error { return lockedFinalizerPatch(ctx, cached) },
	} {
		if err := mgr.GetClient().Get(ctx, client.ObjectKeyFromObject(image), cached); err != nil {
			t.Fatal(err)
		}
		if err := retryOnConflict(ctx, mgr.GetClient(), cached, write); err != nil {
			t.Errorf("write the %s of a cached request: %v", what, err)
		}
	}
	whole := &v1alpha1.DevcontainerImage{}
	if err := kube.Get(ctx, client.ObjectKeyFromObject(image), whole); err != nil {
		t.Fatal(err)
	}
	if len(whole.Spec.Build.Manifest) != 65536 || len(whole.Spec.Build.Config) != 131072 || len(whole.Spec.Configuration.DevcontainerJSON) != 98304 {
		t.Error("a write from the cache lost contents")
	}
}

// retryOnConflict writes again after a fresh read, as a reconciler does in its next pass.
func retryOnConflict(ctx context.Context, c client.Reader, object client.Object, write func() error) error {
	for {
		err := write()
		if !apierrors.IsConflict(err) {
			return err
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
	}
}
