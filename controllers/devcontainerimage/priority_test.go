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

// Each way into the queue gives a request of a crowd the same priority: a queue keeps the highest.
func TestNothingMovesACrowdAheadOfOtherNamespaces(t *testing.T) {
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
	for name, wake := range map[string]func(*Reconciler, intoQueue){
		"its creation": func(r *Reconciler, q intoQueue) {
			r.requestHandler().Create(t.Context(), event.CreateEvent{Object: image}, q)
		},
		"a change of its spec": func(r *Reconciler, q intoQueue) {
			r.requestHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: image, ObjectNew: changed}, q)
		},
		"its project": func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.requestsOfProject).Create(t.Context(), event.CreateEvent{Object: project}, q)
		},
		"its runner": func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.requestsOfRunner).Create(t.Context(), event.CreateEvent{Object: fixture.Runner()}, q)
		},
		"its builder": func(r *Reconciler, q intoQueue) {
			handler.EnqueueRequestsFromMapFunc(r.waitersOfBuilder).Delete(t.Context(), event.DeleteEvent{Object: image}, q)
		},
		"the removal of its lease": func(r *Reconciler, q intoQueue) {
			r.leaseHandler().Delete(t.Context(), event.DeleteEvent{Object: lease}, q)
		},
		"another holder of its lease": func(r *Reconciler, q intoQueue) {
			r.leaseHandler().Update(t.Context(), event.UpdateEvent{ObjectOld: lease, ObjectNew: freed}, q)
		},
		"a retry":          func(_ *Reconciler, q intoQueue) { q.AddRateLimited(requestFor(image)) },
		"a pass that ends": func(r *Reconciler, q intoQueue) { requeue(t, r, image, q) },
	} {
		t.Run(name, func(t *testing.T) {
			r := reconcilerWith(t, interceptor.Funcs{}, project, image.DeepCopy())
			for n := range census.CrowdSize {
				first := image.DeepCopy()
				first.UID = types.UID(fmt.Sprint(n))
				r.Census.OnAdd(first, false)
			}
			r.Census.OnAdd(image, false)
			q := r.newQueue("test", outcome.RetryLimiter()).(*queue)
			defer q.ShutDown()
			wake(r, q)
			request, priority, _ := q.GetWithPriority()
			if request != requestFor(image) || priority != inCrowd {
				t.Errorf("%s is queued with the priority %d, want %d", request, priority, inCrowd)
			}
		})
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
