package devcontainerimage

import "sigs.k8s.io/controller-runtime/pkg/reconcile"

// laneWidth is how many passes a lane has at once. More would make each call of others slower where the API server has two
// cores: docs/adr/0034-lanes-for-crowds.md has the measurements.
const laneWidth = 2

// lane names requests of one namespace that may be many at once: its crowd, or those that are finished.
type lane struct {
	namespace string
	priority  int
}

// laneOf returns the lane of a request, and whether it has one. Ordinary requests have none.
func laneOf(request reconcile.Request, priority int) (lane, bool) {
	return lane{request.Namespace, priority}, priority < ordinary
}

// lanes bound how many passes of each lane run at once. Otherwise requests that wake together would take all workers, and
// their calls the API server. The zero value has no passes. It is not safe for concurrent use.
type lanes struct {
	used map[lane]*traffic
	// on is the lane in which a request has a place, for a pass that runs or is about to.
	on map[reconcile.Request]lane
}

// traffic is the passes and the parked requests of one lane.
type traffic struct {
	running int
	// parked are requests that have to wait for a place, the first of them first.
	parked []reconcile.Request
	known  map[reconcile.Request]bool // of parked
}

// enter takes a place for a pass of a request, or parks the request if its lane has no place left.
func (l *lanes) enter(request reconcile.Request, priority int) bool {
	own, bounded := laneOf(request, priority)
	if _, has := l.on[request]; has || !bounded {
		return true
	}
	if l.used == nil {
		l.used, l.on = map[lane]*traffic{}, map[reconcile.Request]lane{}
	}
	t := l.used[own]
	if t == nil {
		t = &traffic{known: map[reconcile.Request]bool{}}
		l.used[own] = t
	}
	if t.running < laneWidth {
		t.running++
		l.on[request] = own
		return true
	}
	if !t.known[request] {
		t.known[request] = true
		t.parked = append(t.parked, request)
	}
	return false
}

// leave frees the place of a pass that ended, if it had one. If a request is parked for that place, leave gives it the place
// and returns it with its priority; the caller has to queue it.
func (l *lanes) leave(request reconcile.Request) (next reconcile.Request, priority int, found bool) {
	own, has := l.on[request]
	if !has {
		return reconcile.Request{}, 0, false
	}
	delete(l.on, request)
	t := l.used[own]
	for len(t.parked) > 0 {
		next, t.parked = t.parked[0], t.parked[1:]
		delete(t.known, next)
		if _, elsewhere := l.on[next]; !elsewhere { // it may have finished since it was parked, and run in that lane
			l.on[next] = own
			return next, own.priority, true
		}
	}
	if t.running--; t.running == 0 {
		delete(l.used, own)
	}
	return reconcile.Request{}, 0, false
}
