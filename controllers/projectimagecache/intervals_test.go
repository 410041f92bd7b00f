package projectimagecache

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

func projectOf(uid string) *v1alpha1.ProjectImageCache {
	return testProject(func(p *v1alpha1.ProjectImageCache) { p.UID = types.UID(uid) })
}

// A manager that starts with ten thousand projects reads each one's policies once within a day, about as many in each
// hour, and from then on no later than a day after the last time.
func TestPoliciesAreSweptOnceADayAndNotTogether(t *testing.T) {
	const projects = 10_000
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon), Intervals: schedule.Intervals{}.WithDefaults(), sweeps: map[types.UID]time.Time{}}
	var hours [24]int
	again := map[time.Duration]int{}
	for n := range projects {
		project := projectOf(fmt.Sprintf("uid-%d", n))
		due := r.sweepDue(project)
		if wait := due.Sub(fixture.Noon); wait < 0 || wait >= 24*time.Hour {
			t.Fatalf("the first sweep comes after %s", wait)
		}
		hours[int(due.Sub(fixture.Noon).Hours())]++
		r.noteSweep(project, &projectFacts{now: due, swept: true})
		next := r.sweepDue(project).Sub(due)
		if next <= 21*time.Hour || next > 24*time.Hour {
			t.Fatalf("the second sweep comes %s after the first", next)
		}
		again[next.Truncate(time.Minute)]++
	}
	for hour, sweeps := range hours {
		if sweeps < projects/24/2 || sweeps > projects/24*2 {
			t.Errorf("%d sweeps fall into hour %d, want about %d", sweeps, hour, projects/24)
		}
	}
	if len(again) < 100 {
		t.Errorf("the second sweeps fall into %d minutes of the day, want them spread", len(again))
	}
}

// A sweep that fails is told, and comes again in an hour: not at once, for as long as a permission is missing.
func TestSweepThatFailsIsToldAndComesAgainInAnHour(t *testing.T) {
	recorder := events.NewFakeRecorder(1)
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(fixture.Noon), Recorder: recorder, Intervals: schedule.Intervals{}.WithDefaults(), sweeps: map[types.UID]time.Time{}}
	project := projectOf("uid-1")
	r.noteSweep(project, &projectFacts{now: fixture.Noon, sweepErr: errors.New("no")})
	if next := r.sweepDue(project).Sub(fixture.Noon); next != time.Hour {
		t.Errorf("the next sweep comes after %s, want an hour", next)
	}
	select {
	case told := <-recorder.Events:
		t.Log(told)
	default:
		t.Error("nobody is told")
	}
	r.forget(project.UID)
	if len(r.sweeps) != 0 {
		t.Error("a project that is gone is remembered")
	}
}

func TestStatisticsAddUp(t *testing.T) {
	const gigabyte = 1 << 30
	none := statistics(nil, 30, 0.10, fixture.Noon)
	if *none.Count != 0 || *none.SizeBytes != 0 || none.EstimatedMonthlyCostUSD != "0.00" || none.OldestExpiresAt != nil {
		t.Errorf("of nothing: %+v", none)
	}
	images := []ecr.Image{
		{SizeBytes: 2 * gigabyte, PushedAt: fixture.Noon.Add(-time.Hour)},
		{SizeBytes: gigabyte / 2, PushedAt: fixture.Noon.Add(-48 * time.Hour)},
	}
	some := statistics(images, 30, 0.10, fixture.Noon)
	if *some.Count != 2 || *some.SizeBytes != 5*gigabyte/2 || some.EstimatedMonthlyCostUSD != "0.25" {
		t.Errorf("of two: %d, %d bytes, %s USD", *some.Count, *some.SizeBytes, some.EstimatedMonthlyCostUSD)
	}
	if want := fixture.Noon.AddDate(0, 0, 28); !some.OldestExpiresAt.Time.Equal(want) {
		t.Errorf("the oldest expires at %s, want %s", some.OldestExpiresAt, want)
	}
	if dearer := statistics(images, 30, 0.20, fixture.Noon); dearer.EstimatedMonthlyCostUSD != "0.50" {
		t.Errorf("at twice the price it costs %s USD", dearer.EstimatedMonthlyCostUSD)
	}
}

// Images that were to be removed and are still there must not be forgotten because the figures in the status, counted
// under another retention, say that there are none.
func TestFailedRemovalOfInvalidatedImagesIsTriedAgain(t *testing.T) {
	project := testProject(func(p *v1alpha1.ProjectImageCache) {
		p.Spec.InvalidatePushedBefore, p.Spec.RetentionDays = ptr.To(metav1.NewTime(fixture.Noon)), ptr.To(int32(9))
		p.Status.Images = &v1alpha1.ImageStatistics{OldestExpiresAt: ptr.To(metav1.NewTime(fixture.Noon.AddDate(0, 0, 29)))} // 30 days when it was counted
		p.Status.ObservedGeneration = p.Generation
	})
	if mayHoldInvalidated(project) {
		t.Fatal("figures that hold say what there is; the test shows nothing")
	}
	project.Status = projectStatus(project, &projectFacts{now: fixture.Noon, plan: &repositoryPlan{}, uncounted: true})
	if !mayHoldInvalidated(project) {
		t.Error("nobody tries again")
	}
}
