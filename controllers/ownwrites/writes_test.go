package ownwrites

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

func TestOwnWritesTellWhatTheCacheDoesNotShowYet(t *testing.T) {
	object := func(uid types.UID, version string) *v1alpha1.DevcontainerImage {
		return &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version}}
	}
	clock := clocktesting.NewFakeClock(fixture.Noon)
	writes := New(clock)
	writes.Note(object("a", "100"))
	for _, test := range []struct {
		what    string
		seen    *v1alpha1.DevcontainerImage
		passed  time.Duration
		another bool // another object is written then
		behind  bool
	}{
		{"before the write, in fewer digits", object("a", "99"), 0, false, true},
		{"the write itself", object("a", "100"), 0, false, false},
		{"after somebody else's write", object("a", "101"), 0, false, false},
		{"another object", object("b", "7"), 0, false, false},
		{"still behind, after others were written", object("a", "99"), cacheLag + time.Second, true, true},
		{"long ago: what is known is bounded", object("a", "99"), cacheLag + time.Second, true, false},
	} {
		clock.Step(test.passed)
		if test.another {
			writes.Note(object("c", "200"))
		}
		if got := writes.IsBehind(test.seen); got != test.behind {
			t.Errorf("%s: behind %v, want %v", test.what, got, test.behind)
		}
	}
}
