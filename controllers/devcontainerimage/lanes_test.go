package devcontainerimage

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func of(namespace string, n int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(n)}}
}

func TestLanesLeaveWorkersToOthers(t *testing.T) {
	l := &lanes{}
	for n := range laneWidth {
		if !l.enter(of("a", n), inCrowd) {
			t.Errorf("pass %d of the crowd has no place", n)
		}
	}
	for _, test := range []struct {
		what     string
		request  reconcile.Request
		priority int
		want     bool
	}{
		{"one more of the crowd", of("a", 10), inCrowd, false},
		{"the same again", of("a", 10), inCrowd, false},
		{"yet one more of the crowd", of("a", 11), inCrowd, false},
		{"one of the crowd that has a place", of("a", 0), inCrowd, true},
		{"an ordinary one of the same namespace", of("a", 12), ordinary, true},
		{"a finished one of the same namespace", of("a", 13), behind, true},
		{"one of another crowd", of("b", 0), inCrowd, true},
	} {
		if got := l.enter(test.request, test.priority); got != test.want {
			t.Errorf("%s has a place: %v, want %v", test.what, got, test.want)
		}
	}
	if next, _, found := l.leave(of("a", 12)); found {
		t.Errorf("the end of an ordinary pass gives its place to %s", next)
	}
}

func TestPlacesOfALanePassOnInOrder(t *testing.T) {
	l := &lanes{}
	const many = 3 * laneWidth
	for n := range many {
		l.enter(of("a", n), inCrowd)
	}
	var order []reconcile.Request
	for n := range many {
		next, priority, found := l.leave(of("a", n))
		if !found {
			continue
		}
		if priority != inCrowd || !l.enter(next, ordinary) { // it may have left the crowd meanwhile; it keeps its place
			t.Errorf("%s goes on with the priority %d, without a place", next, priority)
		}
		order = append(order, next)
	}
	want := make([]reconcile.Request, 0, many)
	for n := range many {
		want = append(want, of("a", n))
	}
	if diff := cmp.Diff(slices.Clone(want[laneWidth:]), order); diff != "" {
		t.Errorf("parked requests go on in the order (-want +got):\n%s", diff)
	}
	if len(l.used)+len(l.on) > 0 {
		t.Errorf("when all have ended, %v and %v are left", l.used, l.on)
	}
}

// A request of the crowd that finishes while it is parked may have a place in another lane by then.
func TestRequestTakesOnePlace(t *testing.T) {
	l := &lanes{}
	for n := range laneWidth {
		l.enter(of("a", n), inCrowd)
	}
	finished := of("a", 100)
	l.enter(finished, inCrowd)
	l.enter(finished, behind)
	if next, _, found := l.leave(of("a", 0)); found {
		t.Errorf("%s takes a second place", next)
	}
	l.leave(finished)
	for n := range laneWidth {
		l.leave(of("a", n))
	}
	if len(l.used)+len(l.on) > 0 {
		t.Errorf("when all have ended, %v and %v are left", l.used, l.on)
	}
}
