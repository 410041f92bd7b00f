package devcontainerimage

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/census"
	"imagecache.dev/test/fixture"
)

// A hit whose credentials are there is answered and finished by one write. The census may hear of it from the watch before
// the writer has the API server's answer.
func TestAnswerIsTimedThoughTheCensusHearsOfItsEndFirst(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	image := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Name: "me", Namespace: "a", UID: "u"}}
	clock := testclock.NewFakePassiveClock(fixture.Noon)
	census := census.New(clock)
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(image).WithStatusSubresource(image).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(
			ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption,
		) error {
			err := c.SubResource(name).Patch(ctx, object, patch, options...)
			census.OnUpdate(nil, object.DeepCopyObject())
			return err
		}}).Build()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(image), image); err != nil {
		t.Fatal(err)
	}
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Client: c, Recorder: recorder, Clock: clock, AWSClock: clock, Census: census}
	census.OnAdd(image, false)
	clock.SetTime(fixture.Noon.Add(3 * time.Second))
	p := &pass{image: image, status: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound}, now: clock.Now()}
	p.end = finished(v1alpha1.ReasonHit, "it is there")
	counts, _ := fixture.Told(t, recorder, func() {
		if err := r.persist(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
	if image.Status.FinishedAt == nil {
		t.Fatal("the request is not finished")
	}
	for name, want := range map[string]float64{
		"lookups_total[ImageFound Hit a]": 1, "answer_duration_seconds[Hit] count": 1, "answer_duration_seconds[Hit] sum": 3,
	} {
		if counts[name] != want {
			t.Errorf("%s grew by %g, not %g", name, counts[name], want)
		}
	}
}
