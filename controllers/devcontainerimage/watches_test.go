package devcontainerimage

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

// recordedQueue keeps with which options each request was added.
type recordedQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	added map[string]priorityqueue.AddOpts
}

func (q *recordedQueue) AddWithOpts(options priorityqueue.AddOpts, items ...reconcile.Request) {
	for _, item := range items {
		q.added[item.Name] = options
	}
}

func TestAManagerThatStartsAnswersBeforeItLooksAtWhatIsFinished(t *testing.T) {
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon), AWSClock: clocktesting.NewFakePassiveClock(fixture.Noon)}
	images := map[string]*v1alpha1.DevcontainerImage{
		"open":           {},
		"at rest":        {Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon.Add(-time.Hour))}},
		"due":            {Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon.Add(-25 * time.Hour))}},
		"reported late":  {ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
		"holds a lease":  {ObjectMeta: metav1.ObjectMeta{Finalizers: []string{v1alpha1.Finalizer}}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
		"deleted and so": {ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: metaTime(fixture.Noon)}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
	}
	recorded := &recordedQueue{added: map[string]priorityqueue.AddOpts{}}
	q := &queue{PriorityQueue: recorded, priorityOf: func(request reconcile.Request) int { return r.priorityOf(images[request.Name]) }}
	for name, image := range images {
		image.Name = name
		r.requestHandler().Create(t.Context(), event.CreateEvent{Object: image, IsInInitialList: true}, q)
	}
	want := map[string]priorityqueue.AddOpts{
		"open":           {Priority: ptr.To(ordinary)},
		"at rest":        {Priority: ptr.To(behind), After: 23 * time.Hour},
		"due":            {Priority: ptr.To(behind)},
		"reported late":  {Priority: ptr.To(behind)},
		"holds a lease":  {Priority: ptr.To(ordinary)}, // others may wait for it
		"deleted and so": {Priority: ptr.To(behind)},
	}
	if diff := cmp.Diff(want, recorded.added); diff != "" {
		t.Errorf("how requests are queued (-want +got):\n%s", diff)
	}
}

func TestWhatWakesARequest(t *testing.T) {
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon), AWSClock: clocktesting.NewFakePassiveClock(fixture.Noon)}
	for name, test := range map[string]struct {
		before, after metav1.ObjectMeta
		wakes         bool
	}{
		"a status was written":      {metav1.ObjectMeta{ResourceVersion: "1"}, metav1.ObjectMeta{ResourceVersion: "2"}, false},
		"the runner reported":       {metav1.ObjectMeta{Generation: 1}, metav1.ObjectMeta{Generation: 2}, true},
		"it is being deleted":       {metav1.ObjectMeta{}, metav1.ObjectMeta{DeletionTimestamp: metaTime(fixture.Noon)}, true},
		"it still is being deleted": {metav1.ObjectMeta{DeletionTimestamp: metaTime(fixture.Noon)}, metav1.ObjectMeta{DeletionTimestamp: metaTime(fixture.Noon)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			recorded := &recordedQueue{added: map[string]priorityqueue.AddOpts{}}
			test.after.UID = types.UID("u")
			r.requestHandler().Update(t.Context(), event.UpdateEvent{
				ObjectOld: &v1alpha1.DevcontainerImage{ObjectMeta: test.before}, ObjectNew: &v1alpha1.DevcontainerImage{ObjectMeta: test.after},
			}, &queue{PriorityQueue: recorded, priorityOf: func(reconcile.Request) int { return ordinary }})
			if woken := len(recorded.added) == 1; woken != test.wakes {
				t.Errorf("woken: %v, want %v", woken, test.wakes)
			}
		})
	}
}

func TestLostWakeUpsAreCounted(t *testing.T) {
	failing := func(kind client.ObjectList) interceptor.Funcs {
		return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if reflect.TypeOf(list) == reflect.TypeOf(kind) {
				return errors.New("the cache is not readable")
			}
			return c.List(ctx, list, options...)
		}}
	}
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "r1"}},
	}
	builder := missed(v1alpha1.TriggerEnvironmentCreated)
	requests, projects := &v1alpha1.DevcontainerImageList{}, &v1alpha1.ProjectImageCacheList{}
	for name, test := range map[string]struct {
		list client.ObjectList
		wake func(*Reconciler)
		want string
	}{
		"waiters of a builder":  {requests, func(r *Reconciler) { r.waitersOfBuilder(t.Context(), builder) }, "DevcontainerImage"},
		"requests of a project": {requests, func(r *Reconciler) { r.requestsOfProject(t.Context(), project) }, "DevcontainerImage"},
		"requests of a runner":  {requests, func(r *Reconciler) { r.requestsOfRunner(t.Context(), fixture.Runner()) }, "DevcontainerImage"},
		"projects of a runner":  {projects, func(r *Reconciler) { r.requestsOfRunner(t.Context(), fixture.Runner()) }, "ProjectImageCache"},
		"waiters of a removed lease": {requests, func(r *Reconciler) {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease", Annotations: map[string]string{annotationHash: hash64}}}
			r.leaseHandler().Delete(t.Context(), event.DeleteEvent{Object: lease}, &recordedQueue{})
		}, "DevcontainerImage"},
	} {
		t.Run(name, func(t *testing.T) {
			r := reconcilerWith(t, failing(test.list), project)
			counts, _ := fixture.Told(t, events.NewFakeRecorder(1), func() { test.wake(r) })
			if diff := cmp.Diff(map[string]float64{"lost_wakeups_total[" + test.want + "]": 1}, counts); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
		})
	}
}
