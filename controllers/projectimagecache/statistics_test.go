package projectimagecache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

func TestCountDue(t *testing.T) {
	at := func(before time.Duration) *metav1.Time {
		stamp := metav1.NewTime(fixture.Noon.Add(-before))
		return &stamp
	}
	published := func(before time.Duration) []v1alpha1.DevcontainerImage {
		return []v1alpha1.DevcontainerImage{{Status: v1alpha1.DevcontainerImageStatus{Role: v1alpha1.RoleBuilder, FinishedAt: at(before), Image: &v1alpha1.CachedImage{}}}}
	}
	for name, test := range map[string]struct {
		known    *v1alpha1.ImageStatistics
		requests []v1alpha1.DevcontainerImage
		wait     time.Duration
		wanted   bool
	}{
		"nothing published":                  {nil, nil, 0, false},
		"the first image":                    {nil, published(time.Second), 0, true},
		"another, soon after a count":        {&v1alpha1.ImageStatistics{ReadAt: at(20 * time.Second)}, published(time.Second), 40 * time.Second, true},
		"another, long after a count":        {&v1alpha1.ImageStatistics{ReadAt: at(time.Hour)}, published(time.Second), 0, true},
		"counted since, and no image exists": {&v1alpha1.ImageStatistics{ReadAt: at(time.Second)}, published(time.Hour), 0, false},
		"the oldest is fresh":                {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(-8 * 24 * time.Hour)}, nil, 24 * time.Hour, true},
		"the oldest can be due":              {&v1alpha1.ImageStatistics{ReadAt: at(25 * time.Hour), OldestExpiresAt: at(-6 * 24 * time.Hour)}, nil, 0, true},
		"the oldest can be due, and counted": {&v1alpha1.ImageStatistics{ReadAt: at(time.Hour), OldestExpiresAt: at(-6 * 24 * time.Hour)}, nil, 23 * time.Hour, true},
		"the oldest has expired":             {&v1alpha1.ImageStatistics{ReadAt: at(72 * time.Hour), OldestExpiresAt: at(25 * time.Hour)}, published(100 * time.Hour), 0, true},
		"the oldest expired, and counted":    {&v1alpha1.ImageStatistics{ReadAt: at(time.Minute), OldestExpiresAt: at(25 * time.Hour)}, nil, 24*time.Hour - time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			project := testProject(func(p *v1alpha1.ProjectImageCache) { p.Status.Images = test.known })
			wait, wanted := countDue(project, test.requests, time.Time{}, fixture.Noon, time.Minute)
			if wait != test.wait || wanted != test.wanted {
				t.Errorf("countDue = %s, %v; want %s, %v", wait, wanted, test.wait, test.wanted)
			}
		})
	}
}

func TestAnEditedSpecIsCountedAtOnce(t *testing.T) {
	project := testProject(func(p *v1alpha1.ProjectImageCache) {
		readAt, expires := metav1.NewTime(fixture.Noon.Add(-time.Second)), metav1.NewTime(fixture.Noon.AddDate(0, 0, 20))
		p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: &readAt, OldestExpiresAt: &expires}
		p.Generation, p.Status.ObservedGeneration = 2, 1
	})
	if wait, wanted := countDue(project, nil, time.Time{}, fixture.Noon, time.Minute); wait != 0 || !wanted {
		t.Errorf("countDue = %s, %v; want at once", wait, wanted)
	}
}

// A pass that fails to count writes the generation that it saw. The next pass counts all the same.
func TestACountThatFailsAfterAnEditIsRepeated(t *testing.T) {
	project := testProject(func(p *v1alpha1.ProjectImageCache) {
		p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: stampOf(daysAgo(0.1)), OldestExpiresAt: stampOf(daysAgo(-20)), ObservedGeneration: 1}
		p.Generation, p.Status.ObservedGeneration = 2, 1
	})
	project.Status = projectStatus(project, &projectFacts{now: fixture.Noon, plan: &repositoryPlan{}})
	if wait, wanted := countDue(project, nil, time.Time{}, fixture.Noon, time.Minute); wait != 0 || !wanted {
		t.Errorf("countDue = %s, %v; want at once", wait, wanted)
	}
	project.Status.Images.ObservedGeneration = 2
	if wait, _ := countDue(project, nil, time.Time{}, fixture.Noon, time.Minute); wait == 0 {
		t.Error("figures that fit the spec are counted again at once")
	}
}

func TestCountsOfUnusedImages(t *testing.T) {
	at := func(before time.Duration) *metav1.Time {
		stamp := metav1.NewTime(fixture.Noon.Add(-before))
		return &stamp
	}
	for name, test := range map[string]struct {
		pushed, readAt time.Duration // ago
		again          time.Time
		wait           time.Duration
	}{
		"the oldest can't be unused yet":    {day, time.Hour, time.Time{}, 19 * time.Hour},
		"the oldest can be unused":          {9 * day, 25 * time.Hour, time.Time{}, 0},
		"the oldest can be unused, counted": {9 * day, time.Hour, time.Time{}, 19 * time.Hour},
		"some were left":                    {9 * day, 20 * time.Second, fixture.Noon.Add(40 * time.Second), 40 * time.Second},
	} {
		project := testProject(func(p *v1alpha1.ProjectImageCache) {
			p.Spec.ExpireUnusedAfterDays = ptr.To(int32(7))
			p.Status.Images = &v1alpha1.ImageStatistics{ReadAt: at(test.readAt), OldestExpiresAt: at(test.pushed - 30*day)}
		})
		if wait, wanted := countDue(project, nil, test.again, fixture.Noon, time.Minute); wait != test.wait || !wanted {
			t.Errorf("%s: countDue = %s, %v; want %s", name, wait, wanted, test.wait)
		}
	}
}

// A pass that writes the figures of an earlier one counts again in time: what was left is still there, and the next count
// must show that the manager ran meanwhile.
func TestCountThatIsWrittenLaterIsFollowedByTheNextInTime(t *testing.T) {
	for name, test := range map[string]struct {
		days        *int32
		left, after time.Duration
		want        time.Duration
	}{
		"no limit":                    {nil, 0, 5 * time.Second, 0},
		"nothing is left":             {ptr.To(int32(7)), 0, 5 * time.Second, recountUnused},
		"some are left":               {ptr.To(int32(7)), time.Minute, 5 * time.Second, 55 * time.Second},
		"some are left, for too long": {ptr.To(int32(7)), time.Minute, 2 * time.Minute, time.Second},
	} {
		r := &Reconciler{counted: map[types.UID]*v1alpha1.ImageStatistics{}, again: map[types.UID]time.Time{}}
		project := testProject(func(p *v1alpha1.ProjectImageCache) { p.Spec.ExpireUnusedAfterDays = test.days })
		r.rememberCount(project.UID, &projectFacts{now: fixture.Noon, countAgainIn: test.left, statistics: &v1alpha1.ImageStatistics{}})
		if got := r.nextCount(project, fixture.Noon.Add(test.after)); got != test.want {
			t.Errorf("%s: counted again in %s, want %s", name, got, test.want)
		}
	}
}

func TestDueImagesAreCountedAndReported(t *testing.T) {
	day := func(days int) time.Time { return fixture.Noon.AddDate(0, 0, days) }
	figures := statistics([]ecr.Image{
		{PushedAt: day(-25), LastPulledAt: day(-1)},
		{PushedAt: day(-26), LastPulledAt: day(-3)},
		{PushedAt: day(-27), LastPulledAt: day(-20)},
		{PushedAt: day(-28)},
		{PushedAt: day(-29), LastPulledAt: day(-1), Archived: true},
		{PushedAt: day(-2), LastPulledAt: day(-1)},
	}, 30, 0.10, fixture.Noon)
	if *figures.DueCount != 2 || !figures.DueExpiresAt.Time.Equal(day(4)) || !figures.OldestExpiresAt.Time.Equal(day(1)) {
		t.Errorf("%d due, the first at %s, the oldest expires at %s", *figures.DueCount, figures.DueExpiresAt, figures.OldestExpiresAt)
	}
	old := statistics([]ecr.Image{{PushedAt: day(-25), LastPulledAt: day(-1)}}, 30, 0.10, fixture.Noon)
	old.DueExpiresAt = &metav1.Time{Time: day(0)}
	counted := func(images *v1alpha1.ImageStatistics) *projectFacts {
		return &projectFacts{now: fixture.Noon, plan: &repositoryPlan{}, statistics: images, uncounted: images == nil}
	}
	project := testProject()
	for _, test := range []struct {
		name   string
		images *v1alpha1.ImageStatistics
		want   *metav1.Condition
	}{
		{"two are due", figures, &metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsedImagesExpire,
			Message: "2 of the images that environments use expire soon, the first on 2026-03-18; imagecache prebuild --due replaces them"}},
		{"none is due", statistics(nil, 30, 0.10, fixture.Noon), &metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoneDue,
			Message: "no image that environments use expires soon"}},
		{"the due image has expired since", old, &metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotCounted,
			Message: "the images could not be counted since the first due image expired"}},
		{"the figures do not hold any more", nil, nil},
	} {
		project.Status = projectStatus(project, counted(test.images))
		got := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionImagesDue)
		if got != nil {
			got = &metav1.Condition{Status: got.Status, Reason: got.Reason, Message: got.Message}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: ImagesDue (-want +got):\n%s", test.name, diff)
		}
		if !meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionReady) {
			t.Errorf("%s: the project is not ready", test.name)
		}
	}
}

func TestDueImagesOfARefusedProjectAreUnknown(t *testing.T) {
	project := testProject()
	figures := statistics([]ecr.Image{{PushedAt: daysAgo(25), LastPulledAt: daysAgo(1)}}, 30, 0.10, fixture.Noon)
	project.Status = projectStatus(project, &projectFacts{now: fixture.Noon, plan: &repositoryPlan{}, counted: true, statistics: figures})
	if !meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionImagesDue) {
		t.Fatal("the image is not due; the test shows nothing")
	}
	project.Status = projectStatus(project, &projectFacts{now: fixture.Noon, refused: outcome.Waitingf(v1alpha1.ReasonWaitingForRunner, 0, "no runner")})
	got := meta.FindStatusCondition(project.Status.Conditions, v1alpha1.ConditionImagesDue)
	if got == nil || got.Status != metav1.ConditionUnknown || got.Reason != v1alpha1.ReasonNotCounted {
		t.Errorf("ImagesDue is %+v, want it unknown", got)
	}
}
