package controllers

import (
	"errors"
	"fmt"
	"maps"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// counted are the project's own counters and histograms (their counts and sums) by name and labels.
func counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "imagecache_") {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			name := strings.TrimPrefix(family.GetName(), "imagecache_") + fmt.Sprint(labels)
			switch {
			case metric.Counter != nil:
				values[name] = metric.GetCounter().GetValue()
			case metric.Histogram != nil:
				values[name+" count"] = float64(metric.GetHistogram().GetSampleCount())
				values[name+" sum"] = metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return values
}

// told runs what announces something and returns what it counted and which events it made.
func told(t *testing.T, recorder *events.FakeRecorder, announce func()) (counts map[string]float64, made []string) {
	t.Helper()
	before := counted(t)
	announce()
	counts = counted(t)
	maps.DeleteFunc(counts, func(name string, value float64) bool { return value == before[name] })
	for name := range counts {
		counts[name] -= before[name]
	}
	for len(recorder.Events) > 0 {
		made = append(made, strings.Join(strings.Fields(<-recorder.Events)[:2], " "))
	}
	sort.Strings(made)
	return counts, made
}

func conditionOf(kind string, status metav1.ConditionStatus, reason string) []metav1.Condition {
	return []metav1.Condition{{Type: kind, Status: status, Reason: reason, Message: "it is so"}}
}

func TestEachTransitionOfARequestIsToldOnce(t *testing.T) {
	finished := metaTime(noon)
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
			before: v1alpha1.DevcontainerImageStatus{Conditions: conditionOf(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonWaitingForProject)},
			after:  v1alpha1.DevcontainerImageStatus{Conditions: conditionOf(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)},
			counts: map[string]float64{"unknown_lookups_total[AccessDenied a]": 1},
			events: []string{"Warning AccessDenied"},
		},
		"unknown for another reason": {
			before: v1alpha1.DevcontainerImageStatus{Conditions: conditionOf(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)},
			after:  v1alpha1.DevcontainerImageStatus{Conditions: conditionOf(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonLookupFailed)},
			counts: map[string]float64{},
		},
		"waiting for the project": {
			after:  v1alpha1.DevcontainerImageStatus{Conditions: conditionOf(v1alpha1.ConditionLookedUp, metav1.ConditionFalse, v1alpha1.ReasonWaitingForProject)},
			counts: map[string]float64{},
		},
		"upload granted": {
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, PushCredentials: &v1alpha1.CredentialReference{ExpiresAt: metav1.NewTime(noon.Add(15 * time.Minute))}},
			counts: map[string]float64{"grants_total[push a]": 1, "credential_lifetime_seconds[push] count": 1, "credential_lifetime_seconds[push] sum": 900},
			events: []string{"Normal UploadGranted"},
		},
		"published in place of another": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, DurationSeconds: ptr.To[int64](60)}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, ReplacesDigest: "sha256:old", Conditions: conditionOf(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonUploading)},
			after: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, ReplacesDigest: "sha256:old", Image: image, FinishedAt: finished,
				Conditions: conditionOf(v1alpha1.ConditionPublished, metav1.ConditionTrue, v1alpha1.ReasonPublished)},
			counts: map[string]float64{"builds_total[Published a]": 1, "build_duration_seconds[Succeeded] count": 1, "build_duration_seconds[Succeeded] sum": 60,
				"published_bytes_total[a]": 5000, "images_removed_total[Replaced a]": 1},
			events: []string{"Normal Published"},
		},
		"build failed": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildFailed, DurationSeconds: ptr.To[int64](7)}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, FinishedAt: finished, Conditions: conditionOf(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonBuildFailed)},
			counts: map[string]float64{"builds_total[BuildFailed a]": 1, "build_duration_seconds[Failed] count": 1, "build_duration_seconds[Failed] sum": 7},
			events: []string{"Warning BuildFailed"},
		},
		"a report that comes after the end": {
			spec:   v1alpha1.DevcontainerImageSpec{Build: &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded}},
			before: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleLocalBuild, FinishedAt: finished},
			after:  v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleLocalBuild, FinishedAt: finished, Conditions: conditionOf(v1alpha1.ConditionPublished, metav1.ConditionFalse, v1alpha1.ReasonNotBuilder)},
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
				Conditions: conditionOf(v1alpha1.ConditionPulled, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)},
			counts: map[string]float64{"pulls_total[Succeeded a]": 1, "pull_duration_seconds[] count": 1, "pull_duration_seconds[] sum": 4, "pulled_bytes_total[a]": 5000, "saved_seconds_total[a]": 56},
		},
		"pull failed": {
			spec:   v1alpha1.DevcontainerImageSpec{Pull: &v1alpha1.PullReport{Outcome: v1alpha1.PullFailed, DurationSeconds: ptr.To[int64](9)}},
			before: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](60)},
			after: v1alpha1.DevcontainerImageStatus{CacheResult: v1alpha1.CacheHit, Image: image, FinishedAt: finished, SavedSeconds: ptr.To[int64](0),
				Conditions: conditionOf(v1alpha1.ConditionPulled, metav1.ConditionFalse, v1alpha1.ReasonPullFailed)},
			counts: map[string]float64{"pulls_total[Failed a]": 1, "pull_duration_seconds[] count": 1, "pull_duration_seconds[] sum": 9},
			events: []string{"Warning PullFailed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &DevcontainerImageReconciler{Recorder: recorder, Clock: testclock.NewFakePassiveClock(noon)}
			object := &v1alpha1.DevcontainerImage{ObjectMeta: metav1.ObjectMeta{Name: "me", Namespace: "a"}, Spec: test.spec, Status: test.after}
			counts, made := told(t, recorder, func() { r.announce(object, &test.before) })
			if diff := cmp.Diff(test.counts, counts); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, made); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			counts, made = told(t, recorder, func() { r.announce(object, object.Status.DeepCopy()) })
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
			CacheResult: v1alpha1.CacheHit, FinishedAt: metaTime(noon), SavedSeconds: ptr.To[int64](60),
			Image: &v1alpha1.CachedImage{BuildSeconds: ptr.To[int64](60)},
		},
	}
	recorder := events.NewFakeRecorder(10)
	r := &DevcontainerImageReconciler{Recorder: recorder, Clock: testclock.NewFakePassiveClock(noon)}
	report := func() map[string]float64 {
		before := image.Status.DeepCopy()
		p := &pass{image: image, status: *image.Status.DeepCopy(), now: noon}
		image.Status = p.withLateReports().status
		counts, _ := told(t, recorder, func() { r.announce(image, before) })
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

func TestGrantsAndRefreshesAreCountedOnce(t *testing.T) {
	credentials := func(minutes int) *v1alpha1.CredentialReference {
		return &v1alpha1.CredentialReference{SecretName: "s", ExpiresAt: metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))}
	}
	ready := conditionOf(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	failed := conditionOf(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonRefreshFailed)
	expired := conditionOf(v1alpha1.ConditionPullCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonCredentialsExpired)
	for name, test := range map[string]struct {
		before, after v1alpha1.ProjectImageCacheStatus
		counts        map[string]float64
		events        []string
	}{
		"first grant": {
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(60), Conditions: ready},
			counts: map[string]float64{"grants_total[pull a]": 1, "credential_lifetime_seconds[pull] count": 1, "credential_lifetime_seconds[pull] sum": 3600},
			events: []string{"Normal PullCredentialsReady"},
		},
		"refresh": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: ready},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(60), Conditions: ready},
			counts: map[string]float64{"grants_total[pull a]": 1, "credential_refreshes_total[Succeeded a]": 1, "credential_lifetime_seconds[pull] count": 1, "credential_lifetime_seconds[pull] sum": 3600},
		},
		"refresh failed": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: ready},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(20), Conditions: failed},
			counts: map[string]float64{"credential_refreshes_total[Failed a]": 1},
			events: []string{"Warning RefreshFailed"},
		},
		"still failing, and expired": {
			before: v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(0), Conditions: failed},
			after:  v1alpha1.ProjectImageCacheStatus{PullCredentials: credentials(0), Conditions: expired},
			counts: map[string]float64{},
			events: []string{"Warning CredentialsExpired"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &PullCredentialsReconciler{Recorder: recorder}
			project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, Status: test.after}
			counts, made := told(t, recorder, func() { r.announce(project, &test.before, pullFacts{now: noon}) })
			if diff := cmp.Diff(test.counts, counts); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, made); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if counts, made = told(t, recorder, func() { r.announce(project, project.Status.DeepCopy(), pullFacts{now: noon}) }); len(counts)+len(made) > 0 {
				t.Errorf("a pass that changes nothing counts %v and tells %v", counts, made)
			}
		})
	}
}

func TestDriftIsToldAndCountedByKindOnceItIsPutRight(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	r := &ProjectImageCacheReconciler{Recorder: recorder, drifted: map[types.UID][]finding{}}
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: "a", UID: "uid-1"}}
	mutable, tags := finding{actionSetImmutable, "tags could be overwritten"}, finding{actionSetTags, "tags were missing"}
	policy := finding{actionSetRepositoryPolicy, "the repository policy was changed"}
	plan := func(found ...finding) *repositoryPlan { return &repositoryPlan{found: found} }
	no := errors.New("throttled")
	for _, pass := range []struct {
		name  string
		facts projectFacts
		want  []string
	}{
		{"one part fails", projectFacts{repository: &ecr.Repository{}, plan: plan(mutable, tags, policy), tagsErr: no, policyErr: no}, []string{"SetImmutable"}},
		{"it fails again, and is found by half", projectFacts{repository: &ecr.Repository{}, plan: plan(tags), tagsErr: no, policyErr: no}, nil},
		{"the repository can't be read", projectFacts{repositoryErr: no}, nil},
		{"the runner is refused", projectFacts{refused: no}, nil},
		{"both succeed, and one is found again", projectFacts{repository: &ecr.Repository{}, plan: plan(tags)}, []string{"SetRepositoryPolicy", "SetTags"}},
		{"nothing is left", projectFacts{repository: &ecr.Repository{}, plan: plan()}, nil},
	} {
		want := map[string]float64{}
		for _, action := range pass.want {
			want["drift_corrected_total["+action+" a]"] = 1
		}
		counts, made := told(t, recorder, func() { r.announceDrift(project, &pass.facts) })
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("%s: counted (-want +got):\n%s", pass.name, diff)
		}
		if len(made) != len(pass.want) {
			t.Errorf("%s: told %v", pass.name, made)
		}
	}
	if len(r.drifted) != 0 {
		t.Errorf("still kept in mind: %v", r.drifted)
	}
}

func TestBlindDriftWatchIsToldOnceAndCountedEachTime(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	watch := &driftWatch{reconciler: &ProjectImageCacheReconciler{Recorder: recorder}, blind: map[aws.Target]bool{}}
	runner, target := &v1alpha1.RunnerImageCache{}, aws.Target{Region: "eu-x-1"}
	for n, test := range []struct {
		err    error
		count  string
		events []string
	}{
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", []string{"Warning DriftNotSeen"}},
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", nil},
		{nil, "drift_comparisons_total[Succeeded eu-x-1]", nil},
		{errors.New("denied"), "drift_comparisons_total[Failed eu-x-1]", []string{"Warning DriftNotSeen"}},
	} {
		counts, made := told(t, recorder, func() { watch.announce(t.Context(), runner, target, test.err) })
		if diff := cmp.Diff(map[string]float64{test.count: 1}, counts); diff != "" {
			t.Errorf("comparison %d counted (-want +got):\n%s", n, diff)
		}
		if diff := cmp.Diff(test.events, made); diff != "" {
			t.Errorf("comparison %d made the events (-want +got):\n%s", n, diff)
		}
	}
}
