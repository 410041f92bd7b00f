package persist

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
)

func TestWrittenVersionsTellWhatACacheDoesNotShowYet(t *testing.T) {
	object := func(uid types.UID, version string) *v1alpha1.DevcontainerImage {
		return &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version}}
	}
	v := newVersions(2 * versionBytes)
	v.note(object("a", "100"))
	for _, test := range []struct {
		what   string
		seen   *v1alpha1.DevcontainerImage
		others []types.UID // other objects that are written then
		behind bool
	}{
		{"before the write, in fewer digits", object("a", "99"), nil, true},
		{"the write itself", object("a", "100"), nil, false},
		{"after somebody else's write", object("a", "101"), nil, false},
		{"another object", object("b", "7"), nil, false},
		{"still behind, after another object was written", object("a", "99"), []types.UID{"c"}, true},
		{"after many were written: what is known is bounded", object("a", "99"), []types.UID{"d", "e"}, false},
	} {
		for _, uid := range test.others {
			v.note(object(uid, "200"))
		}
		if got := v.newerThan(test.seen); got != test.behind {
			t.Errorf("%s: behind %v, want %v", test.what, got, test.behind)
		}
	}
}
