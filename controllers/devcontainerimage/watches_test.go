package devcontainerimage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
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
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon)}
	queue := &recordedQueue{added: map[string]priorityqueue.AddOpts{}}
	for name, image := range map[string]v1alpha1.DevcontainerImage{
		"open":           {},
		"at rest":        {Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon.Add(-time.Hour))}},
		"due":            {Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon.Add(-25 * time.Hour))}},
		"reported late":  {ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
		"holds a lease":  {ObjectMeta: metav1.ObjectMeta{Finalizers: []string{v1alpha1.Finalizer}}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
		"deleted and so": {ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: metaTime(fixture.Noon)}, Status: v1alpha1.DevcontainerImageStatus{FinishedAt: metaTime(fixture.Noon)}},
	} {
		image.Name = name
		r.requestHandler().Create(t.Context(), event.CreateEvent{Object: &image}, queue)
	}
	want := map[string]priorityqueue.AddOpts{
		"open":           {Priority: ptr.To(0)},
		"at rest":        {Priority: ptr.To(behind), After: 23 * time.Hour},
		"due":            {Priority: ptr.To(behind)},
		"reported late":  {Priority: ptr.To(behind)},
		"holds a lease":  {Priority: ptr.To(behind)},
		"deleted and so": {Priority: ptr.To(behind)},
	}
	if diff := cmp.Diff(want, queue.added); diff != "" {
		t.Errorf("how requests are queued (-want +got):\n%s", diff)
	}
}

func TestWhatWakesARequest(t *testing.T) {
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon)}
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
			queue := &recordedQueue{added: map[string]priorityqueue.AddOpts{}}
			test.after.UID = types.UID("u")
			r.requestHandler().Update(t.Context(), event.UpdateEvent{
				ObjectOld: &v1alpha1.DevcontainerImage{ObjectMeta: test.before}, ObjectNew: &v1alpha1.DevcontainerImage{ObjectMeta: test.after},
			}, queue)
			if woken := len(queue.added) == 1; woken != test.wakes {
				t.Errorf("woken: %v, want %v", woken, test.wakes)
			}
		})
	}
}
