package devcontainerimage

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/controllers/outcome"
)

// However many workers there are, a crowd has a few of them, and each end of a pass lets the next of the crowd in.
func TestCrowdHasFewWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := (&Reconciler{}).newQueue("test", outcome.RetryLimiter()).(*queue)
		const many = 20 * laneWidth
		for n := range many {
			q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(inCrowd)}, of("a", n))
		}
		running := make(chan reconcile.Request, many+1)
		for range many + 1 {
			go func() {
				for {
					request, shutdown := q.Get()
					if shutdown {
						return
					}
					running <- request
				}
			}()
		}
		synctest.Wait()
		if len(running) != laneWidth {
			t.Errorf("%d passes of the crowd run at once, want %d", len(running), laneWidth)
		}
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(ordinary)}, of("b", 0))
		synctest.Wait()
		if len(running) != laneWidth+1 {
			t.Errorf("beside the crowd %d passes run, want 1", len(running)-laneWidth)
		}
		ended := map[reconcile.Request]bool{}
		for len(running) > 0 {
			request := <-running
			ended[request] = true
			q.Done(request)
			synctest.Wait()
			if len(running) > laneWidth+1 {
				t.Fatalf("%d passes run at once", len(running))
			}
		}
		if len(ended) != many+1 {
			t.Errorf("%d requests had a pass, want each of %d", len(ended), many+1)
		}
		q.ShutDown()
		synctest.Wait()
	})
}

// What one change wakes is not a crowd: the requests look up together, whether they have a retry to come or not.
func TestWhatWakesTogetherHasItsPassesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := (&Reconciler{}).newQueue("test", outcome.RetryLimiter()).(*queue)
		q.priorityOf = func(reconcile.Request) int { return ordinary }
		const many = 10 * laneWidth
		for n := range many / 2 {
			q.AddWithOpts(priorityqueue.AddOpts{After: time.Hour, Priority: ptr.To(ordinary)}, of("a", n))
		}
		running := make(chan reconcile.Request, many)
		for range many {
			go func() {
				if request, shutdown := q.Get(); !shutdown {
					running <- request
				}
			}()
		}
		for n := range many {
			q.Add(of("a", n))
		}
		synctest.Wait()
		if len(running) != many {
			t.Errorf("%d passes run at once, want %d", len(running), many)
		}
		q.ShutDown()
		synctest.Wait()
	})
}
