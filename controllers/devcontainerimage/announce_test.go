package devcontainerimage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

func TestEachTransitionOfARequestIsToldOnce(t *testing.T) {
	finished := metaTime(fixture.Noon)
	image := &v1alpha1.CachedImage{Digest: "sha256:new", SizeBytes: ptr.To[int64](5000), BuildSeconds: ptr.To[int64](60)}
	for name, test := range map[string]struct {
		spec          v1alpha1.DevcontainerImageSpec
		before, after v1alpha1.DevcontainerImageStatus
		counts        map[string]float64
		events        []string
	}{
		"hit": {
			after:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Reason: v1alpha1.ReasonImageFound, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](60)},
			counts: map[string]float64{"lookups_total[ImageFound Hit a]": 1},
		},
		"miss of the first builder": {
			after:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Reason: v1alpha1.ReasonImageNotFound, Role: v1alpha1.RoleBuilder},
			counts: map[string]float64{"lookups_total[ImageNotFound Miss a]": 1},
			events: []string{"Normal BecameBuilder", "Normal Miss"},
		},
		"the first builder, in two steps": {
			before: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter, Builder: &v1alpha1.BuilderReference{Name: "me"}},
			after:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, Builder: &v1alpha1.BuilderReference{Name: "me"}},
			counts: map[string]float64{},
			events: []string{"Normal BecameBuilder"},
		},
		"takeover": {
			before: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleWaiter, Builder: &v1alpha1.BuilderReference{Name: "other"}},
			after:  v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheMiss, Role: v1alpha1.RoleBuilder, Builder: &v1alpha1.BuilderReference{Name: "me"}},
			counts: map[string]float64{"build_takeovers_total[a]": 1},
			events: []string{"Normal BecameBuilder"},
		},
		"unknown": {
			before: v1alpha1.DevcontainerImageStatus{Conditions: fixture.Conditions(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonWaitingForProject)},
			after:  v1alpha1.DevcontainerImageStatus{Conditions: fixture.Conditions(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)},
			counts: map[string]float64{"unknown_lookups_total[AccessDenied a]": 1},
			events: []string{"Warning AccessDenied"},
		},
		"unknown for another reason": {
			before: v1alpha1.DevcontainerImageStatus{Conditions: fixture.Conditions(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)},
			after:  v1alpha1.DevcontainerImageStatus{Conditions: fixture.Conditions(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonLookupFailed)},
			counts: map[string]float64{},
		},
		"waiting for the project": {
			after:  v1alpha1.DevcontainerImageStatus{Conditions: fixture.Conditions(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonWaitingForProject)},
			counts: map[string]float64{},
		},
		"upload granted": {
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, PushCredentials: &v1alpha1.CredentialReference{ExpiresAt: metav1.NewTime(fixture.Noon.Add(15 * time.Minute))}},
			counts: map[string]float64{"grants_total[push a]": 1, "credential_lifetime_seconds[push] count": 1, "credential_lifetime_seconds[push] sum": 900},
			events: []string{"Normal UploadGranted"},
		},
		"published in place of another": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, DurationSeconds: ptr.To[int64](60)}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, ReplacesDigest: "sha256:old", Conditions: fixture.Conditions(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonUploading)},
			after: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, ReplacesDigest: "sha256:old", Image: image, FinishedAt: finished,
				Conditions: fixture.Conditions(v1alpha1.ConditionPublished, metav1.ConditionTrue, v1alpha1.ReasonPublished)},
			counts: map[string]float64{"builds_total[Published a]": 1, "build_duration_seconds[Succeeded] count": 1, "build_duration_seconds[Succeeded] sum": 60,
				"published_bytes_total[a]": 5000, "images_removed_total[Replaced a]": 1},
			events: []string{"Normal Published"},
		},
		"build failed": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To[int64](7)}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, FinishedAt: finished, Conditions: fixture.Conditions(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonBuildFailed)},
			counts: map[string]float64{"builds_total[BuildFailed a]": 1, "build_duration_seconds[Failed] count": 1, "build_duration_seconds[Failed] sum": 7},
			events: []string{"Warning BuildFailed"},
		},
		"a report that comes after the end": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleLocalBuild, FinishedAt: finished},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleLocalBuild, FinishedAt: finished, Conditions: fixture.Conditions(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonNotBuilder)},
			counts: map[string]float64{"builds_total[NotBuilder a]": 1},
			events: []string{"Normal NotBuilder"},
		},
		"a waiter that got the builder's image": {
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleWaiter, Image: image, FinishedAt: finished},
			counts: map[string]float64{"coalesced_builds_total[a]": 1},
		},
		"pulled": {
			spec:   v1alpha1.DevcontainerImageSpec{Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullSucceeded, DurationSeconds: ptr.To[int64](4)}},
			before: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](60)},
			after: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](56),
				Conditions: fixture.Conditions(v1alpha1.ConditionPulled, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)},
			counts: map[string]float64{"pulls_total[Succeeded a]": 1, "pull_duration_seconds[] count": 1, "pull_duration_seconds[] sum": 4, "pulled_bytes_total[a]": 5000, "saved_seconds_total[a]": 56},
		},
		"pull failed": {
			spec:   v1alpha1.DevcontainerImageSpec{Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullFailed, DurationSeconds: ptr.To[int64](9)}},
			before: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](60)},
			after: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](0),
				Conditions: fixture.Conditions(v1alpha1.ConditionPulled, metav1.ConditionFalse, v1alpha1.ReasonPullFailed)},
			counts: map[string]float64{"pulls_total[Failed a]": 1, "pull_duration_seconds[] count": 1, "pull_duration_seconds[] sum": 9},
			events: []string{"Warning PullFailed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &Reconciler{Recorder: recorder, Clock: testclock.NewFakePassiveClock(fixture.Noon), AWSClock: testclock.NewFakePassiveClock(fixture.Noon)}
			object := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Name: "me", Namespace: "a"}, Spec: test.spec, Status: test.after}
			counts, made := fixture.Told(t, recorder, func() { r.announce(object, &test.before) })
			if diff := cmp.Diff(test.counts, counts); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, made); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			counts, made = fixture.Told(t, recorder, func() { r.announce(object, object.Status.DeepCopy()) })
			if len(counts) > 0 || len(made) > 0 {
				t.Errorf("a pass that changes nothing counts %v and tells %v", counts, made)
			}
		})
	}
}

func TestPullReportIsLatchedSoThatLaterReportsDoNotCountItAgain(t *testing.T) {
	image := &v1alpha1.DevcontainerImage{
		Spec: v1alpha1.DevcontainerImageSpec{Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullFailed, Message: "denied"}},
		Status: v1alpha1.DevcontainerImageStatus{
			CacheResult: v1alpha1.CacheHit, FinishedAt: metaTime(fixture.Noon), SavedSeconds: ptr.To[int64](60),
			Image: &v1alpha1.CachedImage{BuildSeconds: ptr.To[int64](60)},
		},
	}
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Recorder: recorder, Clock: testclock.NewFakePassiveClock(fixture.Noon), AWSClock: testclock.NewFakePassiveClock(fixture.Noon)}
	report := func() map[string]float64 {
		before := image.Status.DeepCopy()
		image.Status = lateStatus(image)
		counts, _ := fixture.Told(t, recorder, func() { r.announce(image, before) })
		return counts
	}
	if counts := report(); counts["pulls_total[Failed ]"] != 1 {
		t.Errorf("the report of a pull counts %v", counts)
	}
	if *image.Status.SavedSeconds != 0 {
		t.Errorf("a failed pull saved %d s", *image.Status.SavedSeconds)
	}
	image.Generation++
	image.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded}
	counts := report()
	if diff := cmp.Diff(map[string]float64{"builds_total[NotBuilder ]": 1}, counts); diff != "" {
		t.Errorf("the report of the build that followed (-want +got):\n%s", diff)
	}
}
