package attachment

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

func TestOnlyWhatWasPublishedNotLongAgoIsAttached(t *testing.T) {
	request := func(role v1alpha1.Role, image *v1alpha1.CachedImage, ago time.Duration) *v1alpha1.DevcontainerImage {
		finished := metav1.NewTime(fixture.Noon.Add(-ago))
		return &v1alpha1.DevcontainerImage{Status: v1alpha1.DevcontainerImageStatus{Role: role, Image: image, FinishedAt: &finished}}
	}
	image := &v1alpha1.CachedImage{Digest: "sha256:1"}
	open := request(v1alpha1.RoleBuilder, image, 0)
	open.Status.FinishedAt = nil
	for name, test := range map[string]struct {
		request *v1alpha1.DevcontainerImage
		want    bool
	}{
		"published just now":     {request(v1alpha1.RoleBuilder, image, 0), true},
		"published in time":      {request(v1alpha1.RoleBuilder, image, patience-time.Second), true},
		"published long ago":     {request(v1alpha1.RoleBuilder, image, patience), false},
		"not finished":           {open, false},
		"waited for the builder": {request(v1alpha1.RoleWaiter, image, 0), false},
		"published nothing":      {request(v1alpha1.RoleBuilder, nil, 0), false},
	} {
		if got := wanted(test.request, fixture.Noon); got != test.want {
			t.Errorf("%s: wanted is %t, want %t", name, got, test.want)
		}
	}
}

func TestStatementOfTheSameKeyIsAttachedOnce(t *testing.T) {
	of := func(artifactType, key string) []ecr.Referrer {
		return []ecr.Referrer{{ArtifactType: "text/other"}, {ArtifactType: artifactType, Annotations: map[string]string{attestation.AnnotationKey: key}}}
	}
	for name, test := range map[string]struct {
		referrers []ecr.Referrer
		want      bool
	}{
		"none":                 {nil, false},
		"ours":                 {of(attestation.BundleType, "key-1"), true},
		"of another key":       {of(attestation.BundleType, "key-2"), false},
		"of another kind":      {of("text/note", "key-1"), false},
		"a bundle of somebody": {[]ecr.Referrer{{ArtifactType: attestation.BundleType}}, false},
	} {
		if got := attachedBy(test.referrers, "key-1"); got != test.want {
			t.Errorf("%s: attachedBy is %t, want %t", name, got, test.want)
		}
	}
}

func TestQueueKeepsItsPaceAndItsBound(t *testing.T) {
	var q queue
	now := fixture.Noon
	wait := func(uid string, want time.Duration) {
		t.Helper()
		if left, room := q.wait(types.UID(uid), now); left != want || !room {
			t.Errorf("%s waits %s, room %t; want %s", uid, left, room, want)
		}
	}
	wait("a", 0)
	wait("b", pace)
	wait("c", 2*pace)
	wait("b", pace)
	now = now.Add(pace)
	wait("b", 0)
	q.leave("b")
	wait("d", 2*pace)
	now = now.Add(time.Minute)
	wait("e", 0)

	for n := range maxQueue {
		q.wait(types.UID(fmt.Sprint(n)), now)
	}
	if len(q.times) != maxQueue {
		t.Errorf("%d attachments wait, want %d", len(q.times), maxQueue)
	}
	if _, room := q.wait("one more", now); room {
		t.Error("a full queue takes one more")
	}
	now = now.Add(patience + pace)
	if _, room := q.wait("one more", now); !room {
		t.Error("a queue of requests that are long gone takes none")
	}
}
