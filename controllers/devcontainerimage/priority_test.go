package devcontainerimage

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/test/fixture"
)

// Each way into the queue gives a request of a crowd the same priority: a queue keeps the highest. What wakes many at once
// comes after what an environment asks.
func TestPrioritiesOfAllWaysIntoTheQueue(t *testing.T) {
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: fixture.Runner().Name}},
	}
	image := missed(v1alpha1.TriggerEnvironmentCreated)
	image.UID, image.CreationTimestamp = "of the crowd", metav1.NewTime(fixture.Noon)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease", Annotations: map[string]string{annotationHash: image.Status.ConfigHash}}}
	freed := lease.DeepCopy()
	freed.ResourceVersion = "2"
	lease.Spec.HolderIdentity = &image.Name
	changed := image.DeepCopy()
	changed.Generation++
	changed.ResourceVersion = "2"
	type intoQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	for name, test := range map[string]struct {
		alone int // the priority without a crowd
		wake  func(*Reconciler, intoQueue)
	}{
		"its creation": {ordinary, func(r *Reconciler, q intoQueue) {
			r.requestHandler().Create(t.Context(), event.CreateEvent{Object: image}, q)
		}},
		"a change of its spec": {ordinary, func(r *Reconciler, q intoQueue) {
			r.requestHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: image, ObjectNew: changed}, q)
		}},
		"its project": {woken, func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.requestsOfProject).Create(t.Context(), event.CreateEvent{Object: project}, q)
		}},
		"its runner": {woken, func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.requestsOfRunner).Create(t.Context(), event.CreateEvent{Object: fixture.Runner()}, q)
		}},
		"its builder": {woken, func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.waitersOfBuilder).Delete(t.Context(), event.DeleteEvent{Object: image}, q)
		}},
		"the removal of its lease": {woken, func(r *Reconciler, q intoQueue) {
			r.leaseHandler().Delete(t.Context(), event.DeleteEvent{Object: lease}, q)
		}},
		"another holder of its lease": {woken, func(r *Reconciler, q intoQueue) {
			r.leaseHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: lease, ObjectNew: freed}, q)
		}},
		"a retry":          {woken, func(_ *Reconciler, q intoQueue) { q.AddRateLimited(requestFor(image)) }},
		"a pass that ends": {ordinary, func(r *Reconciler, q intoQueue) { requeue(t, r, image, q) }},
	} {
		for crowd, want := range map[int]int{0: test.alone, census.CrowdSize: inCrowd} {
			t.Run(fmt.Sprintf("%s beside %d", name, crowd), func(t *testing.T) {
				r := reconcilerWith(t, interceptor.Funcs{}, project, image.DeepCopy())
				for n := range crowd {
					first := image.DeepCopy()
					first.UID = types.UID(fmt.Sprint(n))
					r.Census.OnAdd(first, false)
				}
				r.Census.OnAdd(image, false)
				q := r.newQueue("test", outcome.RetryLimiter()).(*queue)
				defer q.ShutDown()
				test.wake(r, q)
				request, priority, _ := q.GetWithPriority()
				if request != requestFor(image) || priority != want {
					t.Errorf("%s is queued with the priority %d, want %d", request, priority, want)
				}
			})
		}
	}
}

func requestFor(image *v1alpha1.DevcontainerImage) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(image)}
}

// requeue runs a pass and does what controller-runtime does with its result.
func requeue(t *testing.T, r *Reconciler, image *v1alpha1.DevcontainerImage, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	t.Helper()
	_, result, err := r.passOver(t, image)
	if err != nil || result.RequeueAfter == 0 || result.Priority == nil {
		t.Fatalf("the pass ended with %+v, %v", result, err)
	}
	q.(*queue).AddWithOpts(priorityqueue.AddOpts{After: time.Millisecond, Priority: result.Priority}, requestFor(image))
}
