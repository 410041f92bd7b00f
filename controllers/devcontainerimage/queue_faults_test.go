package devcontainerimage

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"imagecache.dev/controllers/outcome"
)

// faulty is a reconciler whose passes end in every way that a pass can, and the requests whose priorities change
// meanwhile.
type faulty struct {
	mu       sync.Mutex
	t        *testing.T
	calm     bool // from now on, passes end at once and without a fault
	priority map[reconcile.Request]int
	changed  map[reconcile.Request]int // how often a request changed
	seen     map[reconcile.Request]int // the change that its last pass began after
	running  map[reconcile.Request]bool
	passes   int
}

func (f *faulty) priorityOf(request reconcile.Request) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.priority[request]
}

// change gives a request another priority. The next pass has to begin after it.
func (f *faulty) change(request reconcile.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed[request]++
	f.priority[request] = []int{ordinary, inCrowd, behind}[rand.IntN(3)]
}

func (f *faulty) begin(request reconcile.Request) (calm bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[request] {
		f.t.Errorf("%s has two passes at once", request)
	}
	f.running[request], f.seen[request] = true, f.changed[request]
	f.passes++
	return f.calm
}

func (f *faulty) end(request reconcile.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, request)
}

func (f *faulty) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	calm := f.begin(request)
	defer f.end(request)
	if calm {
		return reconcile.Result{}, nil
	}
	time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
	var stated *int
	if rand.IntN(2) == 0 { // persist.AsReconciler and a removed request state none
		stated = ptr.To(f.priorityOf(request))
	}
	switch rand.IntN(12) {
	case 0:
		panic("a pass panics")
	case 1:
		<-ctx.Done() // outcome.PassTimeout
		return reconcile.Result{Priority: stated}, ctx.Err()
	case 2:
		return reconcile.Result{Priority: stated}, errors.New("the API server is not ready")
	case 3:
		return reconcile.Result{}, reconcile.TerminalError(errors.New("only a person can help"))
	case 4, 5:
		return reconcile.Result{Priority: stated, RequeueAfter: outcome.ConflictRetry}, nil
	case 6:
		return reconcile.Result{Priority: stated, RequeueAfter: time.Duration(rand.IntN(60)) * time.Second}, nil
	}
	return reconcile.Result{Priority: stated}, nil
}

// counted is a queue that counts the passes of each namespace which run in lanes.
type counted struct {
	*queue
	t       *testing.T
	mu      sync.Mutex
	inLanes map[string]int
	on      map[reconcile.Request]bool
	most    int
}

func (c *counted) GetWithPriority() (reconcile.Request, int, bool) {
	request, priority, shutdown := c.queue.GetWithPriority()
	if shutdown || priority >= ordinary {
		return request, priority, shutdown
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on[request] = true
	c.inLanes[request.Namespace]++
	c.most = max(c.most, c.inLanes[request.Namespace])
	return request, priority, shutdown
}

func (c *counted) Done(request reconcile.Request) {
	c.mu.Lock()
	if c.on[request] {
		delete(c.on, request)
		c.inLanes[request.Namespace]--
	}
	c.mu.Unlock()
	c.queue.Done(request)
}

// wake adds a request in one of the ways in which watches do.
func wake(q *queue, f *faulty, request reconcile.Request) {
	switch rand.IntN(5) {
	case 0:
		q.AddAfter(request, time.Duration(rand.IntN(5))*time.Second)
	case 1:
		q.AddRateLimited(request)
	case 2:
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(f.priorityOf(request))}, request)
	case 3:
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(behind)}, request) // as in the list of a manager that starts
	default:
		q.Add(request)
	}
}

// Whatever a pass comes to, and whatever becomes of a request meanwhile, its place is free afterwards, each change has a pass
// that begins after it, and no request has two at once.
func TestLanesLoseNothingWhenPassesFail(t *testing.T) {
	handlers := utilruntime.PanicHandlers
	utilruntime.PanicHandlers = nil // they write each panic to the log
	t.Cleanup(func() { utilruntime.PanicHandlers = handlers })
	synctest.Test(t, func(t *testing.T) {
		const namespaces, each, changes = 3, 400, 3000
		f := &faulty{
			t: t, priority: map[reconcile.Request]int{}, changed: map[reconcile.Request]int{}, seen: map[reconcile.Request]int{},
			running: map[reconcile.Request]bool{},
		}
		q := &counted{t: t, inLanes: map[string]int{}, on: map[reconcile.Request]bool{}}
		options := outcome.Options(200)
		options.SkipNameValidation, options.Reconciler = ptr.To(true), f
		options.LogConstructor = func(*reconcile.Request) logr.Logger { return logr.Discard() }
		options.NewQueue = func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
			q.queue = (&Reconciler{}).newQueue(name, limiter).(*queue)
			q.priorityOf = f.priorityOf
			return q
		}
		c, err := controller.NewTypedUnmanaged("lanes", options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- c.Start(ctx) }()
		synctest.Wait()
		name := func() reconcile.Request {
			return of([]string{"a", "b", "c"}[rand.IntN(namespaces)], rand.IntN(each))
		}
		for range changes {
			request := name()
			f.change(request)
			wake(q.queue, f, request)
			if rand.IntN(4) == 0 {
				time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
			}
		}
		f.mu.Lock()
		f.calm = true
		f.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()

		for request, changes := range f.changed {
			if f.seen[request] != changes {
				t.Errorf("%s changed %d times, and its last pass began after change %d", request, changes, f.seen[request])
			}
		}
		if len(q.lanes.used)+len(q.lanes.on) > 0 {
			t.Errorf("when all have ended, %v and %v are left", q.lanes.used, q.lanes.on)
		}
		if q.most > 2*laneWidth || q.most < laneWidth {
			t.Errorf("a namespace had %d passes in its two lanes at once, want %d at most, and some", q.most, 2*laneWidth)
		}
		t.Logf("%d passes, %d in the lanes of one namespace", f.passes, q.most)

		for n := range 10 * laneWidth { // a manager that stops leaves parked requests
			f.mu.Lock()
			f.calm = false
			f.mu.Unlock()
			q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(inCrowd)}, of("a", n))
		}
		synctest.Wait()
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
