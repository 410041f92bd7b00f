package devcontainerimage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/test/fixture"
)

// hash64 is a configuration hash.
const hash64 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// builderIndexer registers the manager's indexes with a fake client.
type builderIndexer struct{ *fake.ClientBuilder }

func (b builderIndexer) IndexField(_ context.Context, object client.Object, field string, extract client.IndexerFunc) error {
	b.WithIndex(object, field, extract)
	return nil
}

// reconcilerWith returns a reconciler of a cluster that holds the objects, at noon.
func reconcilerWith(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *Reconciler {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.DevcontainerImage{}).WithInterceptorFuncs(funcs)
	if err := indexes.Register(t.Context(), builderIndexer{builder}); err != nil {
		t.Fatal(err)
	}
	c, clock := builder.Build(), testclock.NewFakePassiveClock(fixture.Noon)
	return &Reconciler{
		Client: c, Live: c, Recorder: events.NewFakeRecorder(10), Clock: clock, AWSClock: clock, Census: census.New(clock),
		Keys:   signingkeys.New(signingkeys.NewSet(newKey(t))),
		leases: newBuildLeases(c, c, clock, 0), rights: newUploadRights(),
	}
}

// passOver runs one pass over a request and returns the request as the cluster holds it afterwards.
func (r *Reconciler) passOver(t *testing.T, image *v1alpha1.DevcontainerImage) (*v1alpha1.DevcontainerImage, ctrl.Result, error) {
	t.Helper()
	key := client.ObjectKeyFromObject(image)
	read := &v1alpha1.DevcontainerImage{}
	if err := r.Client.Get(t.Context(), key, read); err != nil {
		t.Fatal(err)
	}
	result, err := r.Reconcile(t.Context(), read)
	after := &v1alpha1.DevcontainerImage{}
	if err := r.Client.Get(t.Context(), key, after); err != nil {
		t.Fatal(err)
	}
	return after, result, err
}

// missed returns a request that was answered with a miss and has no role yet.
func missed(trigger v1alpha1.Trigger) *v1alpha1.DevcontainerImage {
	return &v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "me", UID: "u", Generation: 1},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef: &v1alpha1.ProjectReference{Name: "shop"}, EnvironmentID: "e-1", Trigger: trigger, ConfigHash: hash64,
		},
		Status: v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Explanation: "no image", ConfigHash: hash64,
		},
	}
}

// reportedBuilder returns the request of a builder with its report, and its project, runner and lease.
func reportedBuilder(build *v1alpha1.BuildReport) (
	image *v1alpha1.DevcontainerImage, lease *coordinationv1.Lease, others []client.Object,
) {
	image = missed(v1alpha1.TriggerEnvironmentCreated)
	image.Finalizers = []string{v1alpha1.Finalizer}
	image.Spec.Build = build
	image.Status.Role = v1alpha1.RoleBuilder
	image.Status.Builder = &v1alpha1.BuilderReference{Name: "me", LeaseName: "lease"}
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "r1"}},
	}
	lease = &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease", UID: "l"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me/u")},
	}
	return image, lease, []client.Object{project, fixture.Runner()}
}

// Requests for a project that never comes would stay for ever otherwise.
func TestRequestForAProjectThatNeverComesEnds(t *testing.T) {
	for name, test := range map[string]struct {
		age      time.Duration
		want     map[string]string
		finished bool
	}{
		"waits": {5 * time.Hour, map[string]string{
			"LookedUp": "False/WaitingForProject", "Ready": "False/WaitingForProject", "Reconciling": "True/WaitingForProject",
		}, false},
		"ends": {6 * time.Hour, map[string]string{
			"LookedUp": "False/NothingToWaitFor", "Ready": "False/NothingToWaitFor", "Stalled": "True/NothingToWaitFor",
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			image := missed(v1alpha1.TriggerEnvironmentCreated)
			image.Status = v1alpha1.DevcontainerImageStatus{}
			image.CreationTimestamp = metav1.NewTime(fixture.Noon.Add(-test.age))
			r := reconcilerWith(t, interceptor.Funcs{}, image)
			after, result, err := r.passOver(t, image)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summaryOf(after.Status)); diff != "" {
				t.Error(diff)
			}
			if (after.Status.FinishedAt != nil) != test.finished {
				t.Errorf("finished at %v", after.Status.FinishedAt)
			}
			if !test.finished && (result.RequeueAfter <= 0 || result.RequeueAfter > time.Hour) {
				t.Errorf("looked at again after %s, want an hour", result.RequeueAfter)
			}
		})
	}
}

// An error ended the pass after the answer, and the project is gone before the next pass assigns a role.
func TestProjectThatVanishesBetweenAnswerAndRole(t *testing.T) {
	for name, test := range map[string]struct {
		trigger  v1alpha1.Trigger
		want     map[string]string
		role     v1alpha1.Role
		finished bool
	}{
		"a rebuild builds for itself": {
			trigger: v1alpha1.TriggerRebuild, role: v1alpha1.RoleLocalBuild, finished: true,
			want: map[string]string{"LookedUp": "True/Miss", "Ready": "True/LocalBuild"},
		},
		"a new environment waits for the project": {
			trigger: v1alpha1.TriggerEnvironmentCreated,
			want:    map[string]string{"LookedUp": "True/Miss", "Ready": "False/WaitingForProject", "Reconciling": "True/WaitingForProject"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := missed(test.trigger)
			image.CreationTimestamp = metav1.NewTime(fixture.Noon)
			r := reconcilerWith(t, interceptor.Funcs{}, image)
			after, _, err := r.passOver(t, image)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summaryOf(after.Status)); diff != "" {
				t.Error(diff)
			}
			if after.Status.Role != test.role || (after.Status.FinishedAt != nil) != test.finished {
				t.Errorf("role %q, finishedAt %v", after.Status.Role, after.Status.FinishedAt)
			}
		})
	}
}

func TestUploadRightsAreRemovedOnceWhenABuildEnds(t *testing.T) {
	for name, test := range map[string]struct {
		build  *v1alpha1.BuildReport
		holder string
		want   map[string]string
	}{
		"the image may not be published": {
			build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, KeyCoverage: v1alpha1.CoverageEnvironmentValues},
			want:  map[string]string{"LookedUp": "True/Miss", "Published": "False/SecretsInBuild", "Ready": "True/SecretsInBuild"},
		},
		"the build failed": {
			build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, Message: "exit status 2"},
			want:  map[string]string{"LookedUp": "True/Miss", "Published": "False/BuildFailed", "Ready": "False/BuildFailed", "Stalled": "True/BuildFailed"},
		},
		"another environment has the lease": {
			build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded}, holder: "other/o",
			want: map[string]string{"LookedUp": "True/Miss", "Published": "False/NotBuilder", "Ready": "True/NotBuilder"},
		},
		"the builder stopped": {
			holder: "other/o",
			want:   map[string]string{"LookedUp": "True/Miss", "Published": "False/BuilderLost", "Ready": "False/BuilderLost", "Stalled": "True/BuilderLost"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			image, lease, others := reportedBuilder(test.build)
			if test.holder != "" {
				lease.Spec.HolderIdentity = &test.holder
			}
			var removed []string
			r := reconcilerWith(t, interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
				if _, ok := object.(*corev1.Secret); ok {
					removed = append(removed, object.GetName())
				}
				return c.Delete(ctx, object, options...)
			}}, append(others, image, lease)...)
			after, result, err := r.passOver(t, image)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summaryOf(after.Status)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"imagecache-push-u"}, removed); diff != "" {
				t.Errorf("removed Secrets (-want +got):\n%s", diff)
			}
			if len(after.Finalizers) > 0 || result.RequeueAfter != 24*time.Hour {
				t.Errorf("finalizers %v, next pass after %s", after.Finalizers, result.RequeueAfter)
			}
			err = r.Client.Get(t.Context(), client.ObjectKeyFromObject(lease), lease)
			if released := apierrors.IsNotFound(err); released != (test.holder == "") {
				t.Errorf("the lease is released: %v (%v)", released, err)
			}
		})
	}
}

// The rights must be gone before the request ends. Until then the status shows what became of the image, and why the
// request is not finished.
func TestFailureToRemoveUploadRightsKeepsTheFateOfTheImage(t *testing.T) {
	image, lease, others := reportedBuilder(&v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, KeyCoverage: v1alpha1.CoverageEnvironmentValues})
	down := errors.New("the API server is down")
	r := reconcilerWith(t, interceptor.Funcs{Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
		return down
	}}, append(others, image, lease)...)
	after, _, err := r.passOver(t, image)
	if !errors.Is(err, down) {
		t.Errorf("the pass ended with %v", err)
	}
	want := map[string]string{"LookedUp": "True/Miss", "Published": "False/SecretsInBuild", "Ready": "False/AWSError", "Reconciling": "True/AWSError"}
	if diff := cmp.Diff(want, summaryOf(after.Status)); diff != "" {
		t.Error(diff)
	}
	if after.Status.FinishedAt != nil || len(after.Finalizers) == 0 {
		t.Errorf("finishedAt %v, finalizers %v", after.Status.FinishedAt, after.Finalizers)
	}
}

func TestRequestThatIsRemovedWhileItIsAnsweredEndsQuietly(t *testing.T) {
	image := missed(v1alpha1.TriggerRebuild)
	r := reconcilerWith(t, interceptor.Funcs{SubResourcePatch: func(
		_ context.Context, _ client.Client, _ string, object client.Object, _ client.Patch, _ ...client.SubResourcePatchOption,
	) error {
		return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("devcontainerimages").GroupResource(), object.GetName())
	}}, image)
	if _, result, err := r.passOver(t, image); err != nil || result.RequeueAfter != 0 {
		t.Errorf("the pass ended with %+v, %v", result, err)
	}
}

// The API server may not answer reads past the cache. Inputs only explain and estimate.
func TestRequestWhoseInputsCannotBeReadGoesOn(t *testing.T) {
	image := missed(v1alpha1.TriggerEnvironmentCreated)
	holder := "other/o"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
	r := reconcilerWith(t, interceptor.Funcs{}, image)
	reads := 0
	r.Live = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			reads++
			return errors.New("the API server is not ready")
		},
	})
	p := &pass{image: image, status: *image.Status.DeepCopy(), now: fixture.Noon}
	if err := r.explain(t.Context(), p, &answer{}); err != nil {
		t.Errorf("explain: %v", err)
	}
	builder, err := r.describeBuilder(t.Context(), p, lease)
	if err != nil || builder.Name != "other" {
		t.Errorf("the builder is %+v, %v", builder, err)
	}
	if origin := r.originOf(t.Context(), p); origin.Hash != hash64 || len(origin.Inputs) > 0 || reads != 1 {
		t.Errorf("the origin is %+v after %d reads", origin, reads)
	}
}
